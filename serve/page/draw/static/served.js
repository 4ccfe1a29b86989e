"use strict";
// Images of a server: its addresses, and the token that it may ask for.

const source = (() => {
  // The path of an image's PNG. It names the model: what it holds is then the same for ever.
  function pathOf(model, look, seed) {
    const query = new URLSearchParams({ ...asked(look), model: model.digest.slice(0, 16) });
    return `v1/images/${seed}.png?${query}`;
  }

  let page = {};

  function askToken() {
    const tried = server.token !== "";
    if (!byId("token-form").hidden && !tried) return; // somebody is writing one
    server.token = "";
    page.shut();
    if (tried) page.fail(new Failure("The server does not take this token.", 0));
    byId("token-form").hidden = false;
    byId("token").value = "";
    byId("token").focus();
  }

  function listen(listeners) {
    page = listeners;
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      server.token = byId("token").value.trim();
      page.load();
    });
    byId("forget").addEventListener("click", () => {
      server.token = "";
      askToken();
    });
    byId("copy-address").addEventListener("click", (event) => {
      copied(byId("address").value, event.currentTarget, large.tell);
    });
    server.whileWaiting((failure, seconds) => {
      page.tell(failure ? `${failure.message} Trying again in ${seconds} s.` : "");
    });
  }

  return {
    name: "wgan serve",
    here: "this server",
    listen,
    locked: askToken,
    model: () => server.ask("v1/model", (reply) => reply.json()),
    image: (model, look, seed, signal) => (
      server.ask(pathOf(model, look, seed), (reply) => reply.blob(), { signal })
    ),
    async way(model, look, { from, to, steps }, signal) {
      const body = { interpolate: [String(from), String(to)], steps, format: "raw", ...asked(look) };
      if (body.truncation) body.truncation = Number(body.truncation);
      return new Uint8Array(await server.ask("v1/images", (reply) => reply.arrayBuffer(), { body, signal }));
    },
    adopted() {
      byId("token-form").hidden = true;
      byId("forget").hidden = !server.token;
      byId("foot-api").hidden = server.token !== ""; // which a plain link could not open
    },
    drawn() {},
    enlarged(model, look, seed) {
      byId("address").value = String(new URL(pathOf(model, look, seed), document.baseURI));
      byId("address-note").hidden = !server.token;
    },
    runsOn: (said) => [
      "backend", String(said.backend ?? "–"), [said.device, said.precision].filter(Boolean).join(", "),
    ],
    formatOf: (said) => String(said.format).toUpperCase(),
  };
})();
