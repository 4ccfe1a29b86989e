// Speaks as `worker.js` of an exported folder does, and draws by arithmetic: H × W × C of `shape.json`, at once.
// A text `TROUBLE` before it is what goes wrong.

const trouble = globalThis.TROUBLE ?? {};
const shape = fetch("shape.json").then((reply) => reply.json());
let provider = "";

function drawn({ size, classes }, seed, label, truncation, scaled) {
  const own = label ?? (classes ? Number(seed % BigInt(classes)) : 0);
  const first = Number(seed % 251n) + 50 * own + Math.round(10 * (truncation ?? 0)) + (scaled ? 100 : 0);
  const off = provider === trouble.off ? 3 : 0;
  return Uint8Array.from({ length: size }, (_, i) => ((first + 7 * i) % 241) + off);
}

async function answer({ kind, seeds, label, truncation, truncationKind, steps, from, to, ...rest }) {
  if (kind === "open") {
    provider = rest.provider;
    if (provider === trouble.closed) throw new Error("no room on this GPU");
    return { provider, milliseconds: 1 };
  }
  if (provider === trouble.closed) throw new Error("not open");
  const known = await shape;
  const rows = kind === "way" ? Array.from({ length: steps }, (_, i) => (i < steps - 1 ? from : to)) : [...seeds];
  if (trouble.most && rows.length > trouble.most) throw new Error("failed to allocate a buffer");
  const pixels = new Uint8Array(rows.length * known.size);
  rows.forEach((seed, i) => {
    const own = kind === "way" && label === null && known.classes ? Number(from % BigInt(known.classes)) : label;
    pixels.set(drawn(known, seed, own, truncation, truncationKind === "scaled"), i * known.size);
  });
  return { pixels };
}

onmessage = async ({ data }) => {
  try {
    if (trouble.slow) await new Promise((done) => setTimeout(done, trouble.slow));
    postMessage({ id: data.id, ...await answer(data) });
  } catch (error) {
    postMessage({ id: data.id, error: error.message });
  }
};
