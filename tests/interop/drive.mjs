// As drive.py, in JavaScript: `node drive.mjs DIST FOLDER`, DIST the folder of ONNX Runtime Web's files.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [dist, folder] = process.argv.slice(2);
const ort = await import(pathToFileURL(`${dist}/ort.wasm.min.mjs`));
ort.env.wasm.numThreads = 1;
const arrays = { float32: Float32Array, int64: BigInt64Array };
const [images, refused] = [{}, {}];
for (const [name, { file, inputs }] of Object.entries(JSON.parse(fs.readFileSync(`${folder}/cases.json`)))) {
  try {
    const session = await ort.InferenceSession.create(fs.readFileSync(file), { executionProviders: ["wasm"] });
    for (const n of [1, 2, 8]) {
      const feeds = {};
      for (const [tensor, [dtype, [rows, ...rest], path]] of Object.entries(inputs)) {
        const bytes = new Uint8Array(fs.readFileSync(path)).buffer;
        const values = new arrays[dtype](bytes);
        feeds[tensor] = new ort.Tensor(dtype, values.slice(0, (values.length / rows) * n), [n, ...rest]);
      }
      const { image } = await session.run(feeds);
      fs.writeFileSync(`${folder}/${name}-${n}`, new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.byteLength));
      images[`${name}-${n}`] = [image.type, image.dims];
    }
  } catch (error) {
    refused[name] = error.message;
  }
}
console.log(JSON.stringify({ version: ort.env.versions.web, images, refused }));
