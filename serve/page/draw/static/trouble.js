"use strict";
// Why this browser does not draw, in words.

const trouble = (() => {
  const SERVED = "In its folder run “python -m http.server”, and open http://localhost:8000/.";
  const NEEDED = [
    "model.json", "generator.onnx", "worker.js", "answers.js", "generator.js", "latents.js", "pixels.js",
    "truncation.js", "way.js", "ort/ort.wasm.min.mjs", "ort/ort-wasm-simd-threaded.mjs",
    "ort/ort-wasm-simd-threaded.wasm",
  ];
  // the smallest program with an instruction of WebAssembly's SIMD, which the runtime is built of
  const SIMD = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
  ]);

  let last = { words: "", at: -Infinity, found: null };

  async function lacks(name) {
    const reply = await fetch(name, { method: "HEAD", cache: "no-store" });
    return reply.ok ? "" : name;
  }

  async function found(words) {
    if (/memory|allocat|out of bounds/i.test(words)) {
      return "This browser ran out of memory. Close other pages, or ask for fewer images, and try again.";
    }
    let missing = [];
    try {
      missing = (await Promise.all(NEEDED.map(lacks))).filter(Boolean);
    } catch {
      if (!navigator.onLine) return "There is no network, and this browser has not kept all of this page yet.";
      return `The place that this page came from does not answer. (${words})`;
    }
    if (missing.length) return `Missing beside this page: ${missing.join(", ")}. Copy the whole exported folder.`;
    return `The drawing failed: ${words}`;
  }

  return {
    // What is known before anything was tried; "" where nothing is
    known() {
      if (location.protocol === "file:") {
        return `This page was opened as a file, and from files browsers start no program that draws. ${SERVED}`;
      }
      if (typeof WebAssembly !== "object") {
        return "This browser runs no WebAssembly, or something blocks it (a lockdown mode, a policy): it cannot draw.";
      }
      if (!WebAssembly.validate(SIMD)) {
        return "This browser is too old to draw: it needs WebAssembly with SIMD (Chrome 91, Firefox 114, Safari 16.4).";
      }
      return "";
    },
    // What was found out after a failure that came with these words
    found(words) {
      const now = performance.now();
      if (last.words !== words || now > last.at + 2000) last = { words, at: now, found: found(words) };
      return last.found;
    },
    // A file of the folder, as JSON
    async json(name) {
      let reply = null;
      try {
        reply = await fetch(name, { cache: "no-cache" });
      } catch {
        throw new Failure(await this.found(`${name} did not come`), 0);
      }
      if (!reply.ok) throw new Failure(`${name} is missing beside this page (status ${reply.status}).`, 0);
      try {
        return await reply.json();
      } catch {
        throw new Failure(`${name} beside this page is damaged: copy the exported folder again.`, 0);
      }
    },
  };
})();
