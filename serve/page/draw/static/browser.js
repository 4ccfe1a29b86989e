"use strict";
// Images that this browser draws: a few at a time, the first alone so that it comes soon, none that nobody waits for.

const source = (() => {
  const AT_ONCE = 150; // ms of drawing between two looks at what is still wanted
  const MOST = 16; // images in one go
  const KEPT = 256; // images, to be shown again without drawing
  const queue = []; // { model, look, seed, signal, done, fail }
  const kept = new Map();
  let under = false;
  let room = 1; // images that take about so long
  let page = {};
  let first = true;

  const labelOf = (model, look) => (look.label === null ? null : model.classes.indexOf(look.label));
  const asksOf = (model, look) => [
    labelOf(model, look), look.truncation === null ? null : Number(look.truncation), look.kind,
  ];
  const nameOf = (look, seed) => JSON.stringify([look, String(seed)]);

  // What an image's file says of itself, as every other of wgan's does
  function textOf({ said, classes, digest }, look, seed) {
    const text = { model: digest, backend: `browser on ${engines.device}`, precision: String(said.precision) };
    const size = Number(look.truncation);
    if (look.truncation !== null) text.truncation = `${look.kind} ${Number.isInteger(size) ? size.toFixed(1) : size}`;
    text.seed = String(seed);
    const label = look.label === null ? Number(seed % BigInt(classes.length || 1)) : classes.indexOf(look.label);
    if (classes.length) text.label = String(label);
    return text;
  }

  // The next that are drawn together: they look alike, and somebody still waits for them
  function taken() {
    const batch = [];
    while (queue.length && batch.length < room) {
      const [next] = queue;
      const gone = next.signal.aborted;
      if (!gone && batch.length && JSON.stringify(next.look) !== JSON.stringify(batch[0].look)) break;
      queue.shift();
      if (gone) next.fail(next.signal.reason);
      else batch.push(next);
    }
    return batch;
  }

  async function draw(batch) {
    const [{ model, look }] = batch;
    const began = performance.now();
    const pixels = await engines.current().draw(BigUint64Array.from(batch, (one) => one.seed), ...asksOf(model, look));
    const took = Math.max(performance.now() - began, 1);
    room = Math.max(1, Math.min(MOST, 2 * room, Math.floor((AT_ONCE * batch.length) / took)));
    const size = pixels.length / batch.length;
    batch.forEach(({ seed, signal, done, fail }, i) => {
      const text = textOf(model, look, seed);
      png(pixels.subarray(i * size, (i + 1) * size), model.image, text).then((blob) => {
        kept.set(nameOf(look, seed), blob);
        if (kept.size > KEPT) kept.delete(kept.keys().next().value);
        if (signal.aborted) fail(signal.reason);
        else done(blob);
      }, fail);
    });
  }

  async function work() {
    if (under) return;
    under = true;
    while (queue.length) {
      const batch = taken();
      if (!batch.length) continue;
      try {
        await draw(batch);
      } catch (error) {
        if (batch.length > 1) queue.unshift(...batch); // one by one: together they may be too many for its memory
        else batch[0].fail(error);
        if (engines.broken) {
          queue.splice(0).forEach(({ fail }) => fail(error)); // nobody asks a dead one again
          engines.show();
        }
        room = 1;
      }
    }
    under = false;
    engines.idle();
  }

  return {
    name: "wgan",
    here: "this page",
    async model() {
      const known = trouble.known();
      if (known) throw new Failure(known, 0);
      const measured = trouble.json("wgan.json").catch(() => null);
      const said = await trouble.json("model.json");
      engines.of(said);
      const shown = measured.then((own) => {
        said.parity = own?.parity ?? said.parity;
        page.facts?.();
      });
      await Promise.race([shown, new Promise((done) => setTimeout(done, AT_ONCE))]); // drawing does not wait for it
      return said;
    },
    image(model, look, seed, signal, { soon = false } = {}) {
      const before = kept.get(nameOf(look, seed));
      if (before) return Promise.resolve(before);
      return new Promise((done, fail) => {
        const asked = { model, look, seed, signal, done, fail };
        if (soon) queue.unshift(asked);
        else queue.push(asked);
        work();
      });
    },
    async way(model, look, { from, to, steps }, signal) {
      const [label, truncation, truncationKind] = asksOf(model, look);
      const pixels = await engines.current().way({ from, to, steps, label, truncation, truncationKind });
      signal.throwIfAborted();
      return pixels;
    },
    // An image is on the page: what can wait has waited for the first
    drawn() {
      if (first) performance.mark("first-image");
      first = false;
      if (!under) engines.idle();
    },
    listen(listeners) {
      page = listeners;
      byId("unable").remove();
      engines.listen(page);
    },
    adopted() {
      byId("engine").hidden = false;
    },
    locked() {},
    enlarged() {},
    runsOn: () => engines.fact(),
    formatOf: () => "ONNX",
  };
})();
