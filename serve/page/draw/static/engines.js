"use strict";
// By what is drawn: WebAssembly at once, then WebGPU where there is one. Each is checked against PyTorch's pixels.

const engines = (() => {
  const NAMES = { wasm: "WebAssembly", webgpu: "WebGPU" };
  const CHOICE = "wgan-provider"; // in localStorage, where there is one
  let engine = new Engine("wasm"); // the page's first act: all else can wait for it
  let next = null; // what is being loaded in its place
  let page = {};
  let begun = false;
  let precision = ""; // of the model
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

  const apart = ({ levels }) => `differ from PyTorch’s by up to ${counted(levels, "level")} of 255`;
  const sentence = (words) => words.replace(/\.?$/, ".");

  function inWordsOf(found) {
    if (found === null) return "Its pixels are about to be checked.";
    if (found.failure) return `Its pixels could not be checked: ${sentence(found.failure)}`;
    const images = counted(found.images, "image");
    if (!found.passed) {
      return `Its pixels are off: ${images} checked here ${apart(found)}. `
        + "What is drawn here may not be what the generator makes elsewhere.";
    }
    if (found.levels === 0) return `Checked here: ${images} equal PyTorch’s, pixel for pixel.`;
    return `Checked here: ${images} equal PyTorch’s within ${counted(found.levels, "level")} of 255.`;
  }

  function show() {
    const off = verdict !== null && !verdict.passed;
    const words = inWordsOf(verdict);
    const by = `Drawn in this browser, by ${NAMES[engine.provider]}.`;
    const what = engine.broken ? ["Nothing draws now."] : [by, words];
    byId("engine-status").textContent = [...what, note].filter(Boolean).join(" ");
    byId("engine-status").classList.toggle("wrong", off);
    byId("off").hidden = !(off && !verdict.failure);
    byId("off-words").textContent = off ? words : "";
    page.facts?.();
  }

  // Loads the other engine, checks it, and lets it draw; one that was not chosen by hand only if it is exact
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
      if (!found.passed && !byHand) throw new Error(found.failure ?? `Its pixels ${apart(found)}`);
    } catch (error) {
      if (next !== other) return;
      note = `${NAMES[provider]} does not draw here. ${sentence(error.message)} ${NAMES[engine.provider]} goes on.`;
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

  // Why WebGPU cannot draw here, "" where it may; and why it is not loaded unasked
  async function lookForWebgpu() {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    // the runtime waits for the GPU by a function that not every browser has yet
    if (!adapter || !("Suspending" in WebAssembly)) return { why: "not in this browser", unasked: "" };
    if (precision === "fp16" && !adapter.features.has("shader-f16")) return { why: "has no fp16 here", unasked: "" };
    const slow = adapter.info?.isFallbackAdapter ? "as no GPU is behind it here" : "";
    return { why: "", unasked: navigator.connection?.saveData ? "as you save data" : slow };
  }

  // What the first images need not wait for
  async function begin() {
    keep.begin();
    const [found, { why, unasked }] = await Promise.all([checked(engine), lookForWebgpu()]);
    const has = why === "";
    verdict ??= found;
    const option = byId("provider").querySelector("[value=webgpu]");
    option.disabled = !has;
    if (!has) option.textContent = `WebGPU (${why})`;
    const wanted = choice();
    if (has && unasked && !wanted) note = `WebGPU would be 17 MB more: not loaded unless you choose it, ${unasked}.`;
    if (!has && wanted === "webgpu") note = "WebGPU was chosen, and cannot draw here now.";
    byId("provider").value = wanted === "webgpu" && !has ? "" : wanted;
    byId("provider").disabled = false;
    show();
    if (has && (wanted === "webgpu" || (!wanted && !unasked))) change("webgpu", wanted === "webgpu");
  }

  return {
    show,
    // The one that draws; another where it is known to have ended
    current() {
      if (engine.told) {
        [engine, verdict, begun] = [new Engine(engine.provider), null, false];
        show();
      }
      return engine;
    },
    of(said) {
      precision = said.precision;
    },
    get broken() {
      return engine.broken !== null;
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
      if (engine.broken) return ["drawn by", "–", "nothing draws now"];
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
