"use strict";
// By what is drawn: WebAssembly at once, then WebGPU where there is one. Each is checked against PyTorch's pixels.

const engines = (() => {
  const NAMES = { wasm: "WebAssembly", webgpu: "WebGPU" };
  const CHOICE = "wgan-provider"; // in localStorage, where there is one
  let engine = new Engine("wasm"); // the page's first act: all else can wait for it
  let next = null; // what is being loaded in its place
  let page = {};
  let begun = false;
  let verdict = null; // { passed, images, levels } of the engine, or { failure }
  let note = "";

  function choice() {
    try {
      return localStorage.getItem(CHOICE) ?? "";
    } catch {
      return ""; // nothing may be kept here
    }
  }

  function choose(provider) {
    try {
      if (provider) localStorage.setItem(CHOICE, provider);
      else localStorage.removeItem(CHOICE);
    } catch {
      // chosen for as long as the page is open
    }
  }

  async function checked(one) {
    try {
      const { check } = await import("./check.js");
      return await check((...asked) => one.draw(...asked));
    } catch (error) {
      return { passed: false, failure: error.message };
    }
  }

  const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

  function inWordsOf(found) {
    if (found === null) return "Its pixels are about to be checked.";
    if (found.failure) return `Its pixels could not be checked: ${found.failure}`;
    const images = counted(found.images, "image");
    if (!found.passed) {
      return `Its pixels are off: ${images} checked here differ from PyTorch’s by up to ${counted(found.levels, "level")} `
        + "of 255. What is drawn here may not be what the generator makes elsewhere.";
    }
    if (found.levels === 0) return `Checked here: ${images} equal PyTorch’s, pixel for pixel.`;
    return `Checked here: ${images} equal PyTorch’s within ${counted(found.levels, "level")} of 255.`;
  }

  function show() {
    const off = verdict !== null && !verdict.passed;
    const words = inWordsOf(verdict);
    byId("engine-status").textContent = [`Drawn in this browser, by ${NAMES[engine.provider]}.`, words, note]
      .filter(Boolean).join(" ");
    byId("engine-status").classList.toggle("wrong", off);
    byId("off").hidden = !(off && !verdict.failure);
    byId("off-words").textContent = off ? words : "";
    page.facts?.();
  }

  // Loads the other engine, checks it, and lets it draw; where it is not what was asked for by hand, only if it is exact
  async function change(provider, byHand) {
    const other = new Engine(provider);
    next?.close();
    next = other;
    note = `${NAMES[provider]} is being loaded.`;
    show();
    let found = null;
    try {
      await other.ready;
      found = await checked(other);
      if (!found.passed && !byHand) throw new Error(`its pixels differ by ${counted(found.levels ?? "?", "level")}`);
    } catch (error) {
      if (next !== other) return;
      note = `${NAMES[provider]} does not draw here: ${error.message} ${NAMES[engine.provider]} goes on.`;
      other.close();
      next = null;
      show();
      return;
    }
    if (next !== other) return;
    engine.close();
    [engine, next, verdict, note] = [other, null, found, ""];
    show();
    if (provider === "webgpu") keep.later();
  }

  async function hasWebgpu() {
    try {
      // the runtime waits for the GPU by a function that not every browser has yet
      return "Suspending" in WebAssembly && Boolean(await navigator.gpu?.requestAdapter());
    } catch {
      return false;
    }
  }

  // What the first images need not wait for
  async function begin() {
    keep.begin();
    const [found, has] = await Promise.all([checked(engine), hasWebgpu()]);
    verdict ??= found;
    const option = byId("provider").querySelector("[value=webgpu]");
    option.disabled = !has;
    if (!has) option.textContent = "WebGPU (not in this browser)";
    const saving = navigator.connection?.saveData === true;
    const wanted = choice();
    if (has && saving && !wanted) note = "WebGPU would be 17 MB more: not loaded by itself, as you save data.";
    if (!has && wanted === "webgpu") note = "This browser has no WebGPU for this page now.";
    byId("provider").value = wanted === "webgpu" && !has ? "" : wanted;
    byId("provider").disabled = false;
    show();
    if (has && (wanted === "webgpu" || (!wanted && !saving))) change("webgpu", wanted === "webgpu");
  }

  return {
    // The one that draws; another where it ended
    current() {
      if (engine.broken) [engine, verdict] = [new Engine(engine.provider), null];
      return engine;
    },
    get device() {
      return engine.provider === "webgpu" ? "webgpu" : "cpu";
    },
    idle() {
      if (begun || engine.broken) return;
      begun = true;
      begin();
    },
    fact() {
      const state = verdict === null ? "" : verdict.passed ? ", checked" : verdict.failure ? ", not checked" : ", off";
      return ["drawn by", NAMES[engine.provider], `in this browser${state}`];
    },
    listen(listeners) {
      page = listeners;
      show();
      byId("provider").addEventListener("change", (event) => {
        const chosen = event.target.value;
        choose(chosen);
        const provider = chosen || "webgpu";
        if (!event.target.querySelector("[value=webgpu]").disabled || provider === "wasm") {
          if (provider !== (next ?? engine).provider) change(provider, Boolean(chosen));
        }
      });
    },
  };
})();
