"use strict";
// The worker that draws. Every message has a number, and its answer the same.

// Where a browser asks who vouches for the address of a script: these two run, and no other
const vouched = (() => {
  const OURS = ["worker.js", "sw.js"];
  const checked = (name) => {
    if (!OURS.includes(name)) throw new TypeError(`${name} is no script of this page`);
    return name;
  };
  const policy = globalThis.trustedTypes?.createPolicy("wgan", { createScriptURL: checked });
  return (name) => (policy ? policy.createScriptURL(name) : checked(name));
})();

class Engine {
  constructor(provider) {
    this.provider = provider;
    this.number = 0;
    this.waiting = new Map(); // number → { done, fail }
    this.broken = null; // a Failure: it will not draw again
    this.told = false; // that it is broken, to whoever asked it
    try {
      const known = trouble.known();
      if (known) throw new Failure(known, 0);
      this.worker = new Worker(vouched("worker.js"), { type: "module" });
      this.worker.onmessage = ({ data }) => this.answered(data);
      this.worker.onmessageerror = () => this.end("an answer could not be read");
      this.worker.onerror = (event) => {
        event.preventDefault();
        this.end(event.message || "the worker did not start");
      };
    } catch (error) {
      this.broken = error instanceof Failure ? error : new Failure(`This browser does not draw: ${error.message}`, 0);
    }
    this.ready = this.ask("open", { provider });
    this.ready.catch((error) => {
      this.broken ??= error;
    });
  }

  ask(kind, fields = {}) {
    if (this.broken) return Promise.reject(this.broken);
    this.number += 1;
    const { number } = this;
    return new Promise((done, fail) => {
      this.waiting.set(number, { done, fail });
      this.worker.postMessage({ id: number, kind, ...fields });
    });
  }

  async pixels(kind, fields) {
    try {
      await this.ready;
      return (await this.ask(kind, fields)).pixels;
    } catch (error) {
      this.told ||= this.broken !== null;
      throw error;
    }
  }

  draw(seeds, label, truncation, truncationKind) {
    return this.pixels("draw", { seeds, label, truncation, truncationKind });
  }

  way(asked) {
    return this.pixels("way", asked);
  }

  answered({ id, error, ...rest }) {
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) asked?.done(rest);
    else trouble.found(error).then((words) => asked?.fail(new Failure(words, 0)));
  }

  async end(words) {
    this.broken = new Failure(`The drawing failed: ${words}`, 0);
    this.worker?.terminate();
    this.broken = new Failure(await trouble.found(words), 0);
    for (const { fail } of this.waiting.values()) fail(this.broken);
    this.waiting.clear();
  }

  // After its last answer
  async close() {
    while (this.waiting.size) await new Promise((again) => setTimeout(again, 50));
    this.worker?.terminate();
  }
}
