"use strict";
// One image, large: its neighbours, its file, its links.

const large = (() => {
  const dialog = byId("large");
  const image = byId("large-image");
  const facts = byId("file-facts");
  let under = new AbortController();
  let picture = ""; // its address
  let shown = null; // the seed
  let on = {};

  const tell = (words) => {
    byId("large-status").textContent = words;
  };

  const NAMES = { model: "model", backend: "backend", precision: "precision", truncation: "truncation", seed: "seed" };

  function say(text, model) {
    const rows = Object.entries(NAMES).filter(([key]) => key in text).map(([key, name]) => {
      const value = key === "model" ? `${text[key].slice(0, 12)}…` : text[key];
      return [name, value];
    });
    const label = Number.parseInt(text.label ?? "", 10);
    if (model.classes[label] !== undefined) rows.push(["class", readable(model.classes[label])]);
    facts.replaceChildren(...rows.map(([name, value]) => element(
      "div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }),
    )));
  }

  async function show({ seed, model, look, link, ends }) {
    under.abort();
    under = new AbortController();
    const { signal } = under;
    shown = seed;
    const words = inWords(model, look, seed);
    byId("large-title").textContent = words[0].toUpperCase() + words.slice(1);
    byId("share").value = link;
    source.enlarged(model, look, seed);
    byId("previous").disabled = seed === 0n;
    byId("next").disabled = seed === SEEDS - 1n;
    mark(ends);
    if (!dialog.open) dialog.showModal();
    tell("");
    dialog.classList.add("loading");
    byId("save").removeAttribute("href"); // until it is this image's
    try {
      const blob = await source.image(model, look, seed, signal, { soon: true });
      const text = textOf(await blob.arrayBuffer());
      if (signal.aborted) return;
      const before = picture;
      picture = URL.createObjectURL(blob);
      image.src = picture;
      image.alt = `Image of ${words}`;
      URL.revokeObjectURL(before);
      const save = byId("save");
      save.href = picture;
      save.download = `seed-${String(seed).padStart(6, "0")}.png`;
      say(text, model);
      tell("");
    } catch (error) {
      if (signal.aborted) return;
      image.removeAttribute("src");
      image.alt = "";
      tell(error.message);
      on.fail(error);
    } finally {
      if (!signal.aborted) dialog.classList.remove("loading");
    }
  }

  function mark({ from, to }) {
    byId("as-start").setAttribute("aria-pressed", String(shown === from));
    byId("as-end").setAttribute("aria-pressed", String(shown === to));
  }

  const move = (by) => {
    const next = shown + by;
    if (next >= 0n && next < SEEDS) on.move(next);
  };
  byId("previous").addEventListener("click", () => move(-1n));
  byId("next").addEventListener("click", () => move(1n));
  byId("close").addEventListener("click", () => dialog.close());
  byId("as-start").addEventListener("click", () => on.end("from", shown));
  byId("as-end").addEventListener("click", () => on.end("to", shown));
  byId("copy-share").addEventListener("click", (event) => copied(byId("share").value, event.currentTarget, tell));
  dialog.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLInputElement || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") move(-1n);
    if (event.key === "ArrowRight") move(1n);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });
  dialog.addEventListener("close", () => {
    under.abort();
    shown = null;
    on.close();
  });

  return {
    show,
    mark,
    tell,
    close: () => dialog.close(),
    get open() {
      return dialog.open;
    },
    listen(listeners) {
      on = listeners;
    },
  };
})();
