// stub
import * as ort from "./ort/ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
let session = null;
self.onmessage = async ({ data }) => {
  const { id } = data;
  try {
    if (data.kind === "open") {
      const bytes = new Uint8Array(await (await fetch("generator.onnx")).arrayBuffer());
      session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
      self.postMessage({ id, provider: "wasm", milliseconds: 0 });
    } else {
      const n = data.labels === null ? null : data.labels.length;
      const model = await (await fetch("model.json")).json();
      const dim = model.latent.dim;
      const feeds = { z: new ort.Tensor("float32", data.z, [data.z.length / dim, dim]) };
      if (data.labels !== null) feeds.label = new ort.Tensor("int64", data.labels, [n]);
      const { image } = await session.run(feeds);
      self.postMessage({ id, images: image.data });
    }
  } catch (error) {
    self.postMessage({ id, error: String(error.message ?? error) });
  }
};
