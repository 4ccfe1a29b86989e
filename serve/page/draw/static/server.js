"use strict";
// How the page speaks to its server: a few requests at a time, the token, and every failure in words.

const TOKEN = "wgan-token"; // in sessionStorage: this tab's alone
const TOGETHER = 6; // requests at a time
const PATIENCE = 60; // seconds for which one request is tried again while the server is busy or gone

const server = (() => {
  const queue = [];
  let open = 0;
  let until = 0; // nobody asks before this time: the server said when it has room again
  let waiting = () => {};

  const sleep = (ms, signal) => new Promise((done, fail) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      fail(signal.reason);
    }, { once: true });
  });

  const turn = async () => {
    if (open >= TOGETHER) await new Promise((go) => queue.push(go));
    else open += 1;
  };
  const leave = () => {
    const next = queue.shift();
    if (next) next();
    else open -= 1;
  };

  async function failureOf(response) {
    let said = {};
    try {
      said = await response.json();
    } catch {
      // a proxy's page, or nothing
    }
    const { status } = response;
    const own = typeof said?.error === "string" ? said.error : "";
    const id = response.headers.get("X-Request-Id") ?? "";
    const asked = Number.parseFloat(response.headers.get("Retry-After") ?? "");
    const wait = [429, 502, 503].includes(status) ? Math.max(asked || 1, 0.5) : null;
    const words = {
      401: "The server does not take this token.",
      429: "The server has as much to do as it takes.",
      502: "The server behind this address does not answer.",
      503: own ? `${own[0].toUpperCase()}${own.slice(1)}.` : "The server is not available for the moment.",
      504: "The images were not made in the time that the server allows.",
    }[status] ?? (own ? `The server says: ${own}` : `The server answered with status ${status}.`);
    const named = status >= 500 && id ? `${words} (Request ${id})` : words;
    return new Failure(named, status, { wait, code: typeof said?.code === "string" ? said.code : "" });
  }

  // What `read` makes of the reply; tries again when the server says that it may have room by then.
  async function ask(path, read, { body, signal } = {}) {
    const end = Date.now() + PATIENCE * 1000;
    for (let attempt = 0; ; attempt += 1) {
      await turn();
      let failure;
      try {
        signal?.throwIfAborted();
        while (until > Date.now()) await sleep(until - Date.now(), signal);
        const headers = {};
        const token = sessionStorage.getItem(TOKEN);
        if (token) headers.Authorization = `Bearer ${token}`;
        if (body) headers["Content-Type"] = "application/json";
        const options = { method: body ? "POST" : "GET", headers, signal, credentials: "same-origin" };
        if (body) options.body = JSON.stringify(body);
        const response = await fetch(new URL(path, document.baseURI), options);
        if (response.ok) {
          const found = await read(response);
          waiting(null);
          return found;
        }
        failure = await failureOf(response);
      } catch (error) {
        if (signal?.aborted) throw error;
        failure = new Failure("The server does not answer.", 0, { wait: 1 });
      } finally {
        leave();
      }
      // longer each time, and apart from each other: all that were refused do not come back at once
      const ms = failure.wait * 1000 * (1.5 ** attempt + Math.random() / 4);
      if (failure.wait === null || Date.now() + ms > end) {
        waiting(null);
        throw failure;
      }
      until = Math.max(until, Date.now() + failure.wait * 1000);
      waiting(failure, Math.ceil(ms / 1000));
      await sleep(ms, signal);
    }
  }

  return {
    ask,
    whileWaiting(tell) {
      waiting = tell;
    },
    get token() {
      return sessionStorage.getItem(TOKEN) ?? "";
    },
    set token(value) {
      if (value) sessionStorage.setItem(TOKEN, value);
      else sessionStorage.removeItem(TOKEN);
    },
  };
})();
