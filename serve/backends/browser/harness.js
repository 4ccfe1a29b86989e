// An empty page that asks the worker of an exported folder, as its own page does. Arrays come and go as bodies of
// requests to the server that this page is from: one batch at a time.

const waiting = new Map();
let worker = null;
let number = 0;

function start() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => {
    const { done, failed } = waiting.get(data.id) ?? {};
    waiting.delete(data.id);
    if (data.error === undefined) done?.(data);
    else failed?.(new Error(data.error));
  };
  const lost = (event) => {
    event.preventDefault();
    for (const { failed } of waiting.values()) failed(new Error(event.message || "the worker cannot be loaded"));
    waiting.clear();
  };
  worker.onerror = lost;
  worker.onmessageerror = lost;
}

function told(message, moved = []) {
  const id = (number += 1);
  return new Promise((done, failed) => {
    waiting.set(id, { done, failed });
    worker.postMessage({ ...message, id }, moved);
  });
}

async function opened(provider) {
  start();
  return (await told({ kind: "open", provider })).provider;
}

async function array(kind, name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return new kind(await answer.arrayBuffer());
}

async function ran(labelled) {
  const z = await array(Float32Array, ".z");
  const labels = labelled ? await array(BigInt64Array, ".labels") : null;
  const { images } = await told({ kind: "run", z, labels });
  const answer = await fetch(".images", { method: "POST", body: images });
  if (!answer.ok) throw new Error(`images: ${answer.status}`);
  return images.constructor.name;
}

globalThis.harness = { opened, ran };
