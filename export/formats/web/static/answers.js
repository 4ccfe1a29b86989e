// What the worker answers. Every message has an `id`, its answer has the same and a result, or `error`, one line:
//
//   open {provider: "wasm" | "webgpu"} → {provider, milliseconds}
//   draw {seeds: BigUint64Array, label: null | integer, truncation: null | number, truncationKind} → {pixels}
//   way {from: bigint, to: bigint, steps, label, truncation, truncationKind} → {pixels}
//   run {z: Float32Array (N · Z), labels: null | BigInt64Array} → {images}: what the graph gives, for parity
//
// `pixels` are N · H · W · C bytes. A `label` of null gives each seed its own class.

import { Generator } from "./generator.js";

const LONGEST = 300; // characters of an error

function inOneLine(error) {
  // the runtime throws the address of what was thrown in it
  if (typeof error === "number") return "the runtime ended: memory may have run out";
  const line = String(error?.message ?? error).split("\n")[0].trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line || "it failed without a word";
}

// Answers what comes to `port`, in order: the runtime does one thing at a time.
export function answer(port, folder) {
  let generator = null;

  const opened = () => {
    if (generator === null) throw new Error("no generator is open");
    return generator;
  };

  const kinds = {
    async open({ provider }) {
      const start = performance.now();
      const before = generator;
      generator = await Generator.open(provider, folder);
      await before?.close();
      return { provider, milliseconds: performance.now() - start };
    },
    async draw({ seeds, ...look }) {
      return { pixels: await opened().draw(seeds, look) };
    },
    async way({ from, to, steps, ...look }) {
      return { pixels: await opened().way(from, to, steps, look) };
    },
    async run({ z, labels }) {
      return { images: await opened().run(z, labels) };
    },
  };

  async function reply({ id, kind, ...fields }) {
    try {
      if (!Object.hasOwn(kinds, kind)) throw new Error(`there is no message ${kind}`);
      const found = await kinds[kind](fields);
      const moved = found.pixels ?? found.images;
      port.postMessage({ id, ...found }, moved ? [moved.buffer] : []);
    } catch (error) {
      port.postMessage({ id, error: inOneLine(error) });
    }
  }

  let last = Promise.resolve();
  port.addEventListener("message", ({ data }) => {
    last = last.then(() => reply(data));
  });
}
