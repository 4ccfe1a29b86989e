// The generator in ONNX Runtime Web: seeds to pixels as `wgan sample` makes them.

import { latents } from "./latents.js";
import { toBytes } from "./pixels.js";
import { truncate } from "./truncation.js";
import { between } from "./way.js";

const RUNTIME = { wasm: "ort.wasm.min.mjs", webgpu: "ort.jspi.min.mjs" };
// Images in one run. On WebAssembly one by one is the fastest (measured on one thread: 2.7 ms an image of 64 × 64, of
// eight together 6.7 ms) and makes an image's bits depend on nothing beside it. On WebGPU every run waits for the GPU:
// there as many pixels as 16 images of 64 × 64 have (measured by software: 8 ms an image, one by one 44 ms).
const together = (provider, { height, width }) => (
  provider === "webgpu" ? Math.max(1, Math.min(16, Math.floor(2 ** 16 / (height * width)))) : 1
);
const NO_CLASSES = "this generator has no classes";
const THREADS = 4; // at most, where the host isolates the page; elsewhere a browser has none to give

// Why this provider cannot run a generator of this precision here; null where it can
async function missing(provider, precision) {
  if (provider !== "webgpu") return null;
  if (!("Suspending" in WebAssembly)) return "this browser cannot wait for WebGPU in WebAssembly (JSPI)";
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return "this browser has no WebGPU adapter";
  const short = precision === "fp16" && !adapter.features.has("shader-f16");
  return short ? "this browser's WebGPU has no 16-bit floats" : null;
}

export class Generator {
  #ort;
  #session;
  #together;

  // Opens the generator of a folder. `folder` has `url`, its address with a slash at the end, and reads its files:
  // `bytes(name)` and `json(name)`.
  static async open(provider, folder) {
    if (!Object.hasOwn(RUNTIME, provider)) throw new Error(`there is no provider ${provider}`);
    const [ort, model, graph] = await Promise.all([
      import(`${folder.url}ort/${RUNTIME[provider]}`), folder.json("model.json"), folder.bytes("generator.onnx"),
    ]);
    const why = await missing(provider, model.precision);
    if (why !== null) throw new Error(why);
    const { wasm } = ort.env;
    wasm.wasmPaths = `${folder.url}ort/`;
    wasm.proxy = false; // this is a worker already
    wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(THREADS, navigator.hardwareConcurrency) : 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(graph, {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3, // errors: that shapes are computed on the CPU is no news
    });
    return new Generator(ort, session, model, together(provider, model.image));
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
      throw new RangeError(this.classes ? "every latent needs a label" : NO_CLASSES);
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
      throw new RangeError(classes ? `a label is from 0 to ${classes - 1}, not ${label}` : NO_CLASSES);
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
