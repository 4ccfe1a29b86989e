// The generator in ONNX Runtime Web: seeds to pixels as `wgan sample` makes them.

import { latents } from "./latents.js";
import { toBytes } from "./pixels.js";
import { truncate } from "./truncation.js";
import { between } from "./way.js";

const RUNTIME = { wasm: "ort.wasm.min.mjs", webgpu: "ort.jspi.min.mjs" };
// Images in one run. On one thread of WebAssembly one by one is the fastest (measured: 2.7 ms an image of 64 × 64, 6.7 ms
// of eight), needs the least memory, and makes an image's bits depend on nothing beside it.
const TOGETHER = { wasm: 1, webgpu: 16 };
const THREADS = 4; // at most, where the host isolates the page; elsewhere a browser has none to give

async function missing(provider) {
  if (!(provider in RUNTIME)) return `there is no provider ${provider}`;
  if (provider !== "webgpu") return null;
  if (!("Suspending" in WebAssembly)) return "this browser cannot wait for WebGPU in WebAssembly (JSPI)";
  if (!(await navigator.gpu?.requestAdapter())) return "this browser has no WebGPU adapter";
  return null;
}

export class Generator {
  #ort;
  #session;
  #together;

  // Opens the generator of a folder. `folder` has `url`, its address with a slash at the end, and reads its files:
  // `bytes(name)` and `json(name)`.
  static async open(provider, folder) {
    const why = await missing(provider);
    if (why !== null) throw new Error(why);
    const graph = folder.bytes("generator.onnx"); // while the runtime is loaded
    const [ort, model] = await Promise.all([
      import(`${folder.url}ort/${RUNTIME[provider]}`), folder.json("model.json"), graph,
    ]);
    const { wasm } = ort.env;
    wasm.wasmPaths = `${folder.url}ort/`;
    wasm.proxy = false; // this is a worker already
    wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(THREADS, navigator.hardwareConcurrency) : 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(await graph, {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
    });
    return new Generator(ort, session, model, TOGETHER[provider]);
  }

  constructor(ort, session, model, together) {
    [this.#ort, this.#session, this.#together] = [ort, session, together];
    this.model = model;
    this.dim = model.latent.dim;
    this.classes = model.classes?.length ?? 0;
  }

  close() {
    return this.#session.release();
  }

  // What the graph makes of latents (N · Z) and, where there are classes, labels (N).
  async run(z, labels) {
    const count = z.length / this.dim;
    if (!Number.isInteger(count)) throw new RangeError(`latents have ${this.dim} values each`);
    if (this.classes ? labels?.length !== count : labels) {
      throw new RangeError(this.classes ? "every latent needs a label" : "this generator has no classes");
    }
    const { Tensor } = this.#ort;
    const inputs = { z: new Tensor("float32", z, [count, this.dim]) };
    if (labels) inputs.label = new Tensor("int64", labels, [count]);
    return (await this.#session.run(inputs)).image.data;
  }

  // The pixels (N · H · W · C bytes) of seeds; `label` null: to each its own class, as the sampler deals them out.
  draw(seeds, { label, truncation, truncationKind }) {
    const classOf = this.#labels(label);
    return this.#pixels(seeds.length, (first, end) => {
      const part = seeds.slice(first, end);
      return [this.#latents(part, truncation, truncationKind), classOf && BigInt64Array.from(part, classOf)];
    });
  }

  // The pixels of `steps` images on the way from one seed to another. They have one class: the first seed's.
  way(from, to, steps, { label, truncation, truncationKind }) {
    const { dim } = this;
    const classOf = this.#labels(label);
    const ends = this.#latents([from, to], truncation, truncationKind);
    const z = between(ends.subarray(0, dim), ends.subarray(dim), steps);
    return this.#pixels(steps, (first, end) => [
      z.slice(first * dim, end * dim), classOf && new BigInt64Array(end - first).fill(classOf(from)),
    ]);
  }

  #latents(seeds, truncation, kind) {
    const z = latents(seeds, this.dim);
    return truncation === null ? z : truncate(z, truncation, kind);
  }

  // The class of a seed, as a function; null where there are none
  #labels(label) {
    const { classes } = this;
    if (label !== null && !(Number.isInteger(label) && label >= 0 && label < classes)) {
      throw new RangeError(classes ? `a label is from 0 to ${classes - 1}, not ${label}` : "this generator has no classes");
    }
    if (!classes) return null;
    return label === null ? (seed) => seed % BigInt(classes) : () => BigInt(label);
  }

  async #pixels(count, inputs) {
    const { image } = this.model;
    const size = image.height * image.width * image.channels;
    const pixels = new Uint8Array(count * size);
    for (let first = 0; first < count; first += this.#together) {
      const made = await this.run(...inputs(first, Math.min(first + this.#together, count)));
      pixels.set(made instanceof Uint8Array ? made : toBytes(made, image), first * size);
    }
    return pixels;
  }
}
