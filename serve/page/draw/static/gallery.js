"use strict";
// The drawn images. A new drawing ends what the one before still asks for.

const gallery = (() => {
  const list = byId("gallery");
  let tiles = []; // {seed, item, open, image, pick, address}
  let drawn = ""; // what is there already
  let under = new AbortController();

  // Tiles for `count` seeds from `first` on; where the seeds stay, so do their images until the new ones are there
  function lay(first, count, on) {
    const wanted = Array.from({ length: count }, (_, i) => first + BigInt(i));
    const same = tiles.length === count && tiles.every((tile, i) => tile.seed === wanted[i]);
    if (same) return;
    tiles.forEach((tile) => URL.revokeObjectURL(tile.address));
    tiles = wanted.map((seed) => {
      const image = element("img", { className: "pixels", alt: "" });
      image.addEventListener("load", source.drawn);
      const open = element("button", { type: "button", className: "open" }, image);
      const pick = element("button", { type: "button", className: "pick" });
      const digits = String(seed); // of a long one the end is shown: there it differs from its neighbours
      const short = digits.length > 12 ? `…${digits.slice(-9)}` : digits;
      const caption = element("span", { className: "caption", textContent: short, title: digits });
      open.addEventListener("click", () => on.open(seed));
      pick.addEventListener("click", () => on.pick(seed));
      return { seed, image, open, pick, address: "", item: element("li", {}, open, pick, caption) };
    });
    list.replaceChildren(...tiles.map((tile) => tile.item));
  }

  // Which seeds are the ends of a way
  function mark(from, to) {
    for (const tile of tiles) {
      const end = tile.seed === from ? "A" : tile.seed === to ? "B" : "";
      tile.pick.textContent = end || "+";
      tile.pick.setAttribute("aria-pressed", String(end !== ""));
      const words = { A: "start of the way", B: "end of the way" }[end] ?? "take for a way";
      tile.pick.setAttribute("aria-label", `Seed ${tile.seed}: ${words}`);
    }
  }

  async function fill(tile, model, look, signal) {
    const words = inWords(model, look, tile.seed);
    tile.open.setAttribute("aria-label", `Image of ${words}: show it large`);
    tile.item.classList.add("loading");
    try {
      const blob = await source.image(model, look, tile.seed, signal);
      const before = tile.address;
      tile.address = URL.createObjectURL(blob);
      tile.image.src = tile.address;
      tile.image.alt = `Image of ${words}`;
      URL.revokeObjectURL(before);
    } finally {
      if (!signal.aborted) tile.item.classList.remove("loading");
    }
  }

  return {
    mark,
    // How many came, and the first failure if any; null where another drawing came between
    async draw({ model, look, first, count, on }) {
      const wanted = JSON.stringify([model.digest, look, String(first), count]);
      if (drawn === wanted) return { made: count, failure: null };
      drawn = "";
      under.abort();
      under = new AbortController();
      const { signal } = under;
      lay(first, count, on);
      const ends = await Promise.allSettled(tiles.map((tile) => fill(tile, model, look, signal)));
      if (signal.aborted) return null;
      const failed = ends.filter((end) => end.status === "rejected");
      if (!failed.length) drawn = wanted;
      return { made: ends.length - failed.length, failure: failed[0]?.reason ?? null };
    },
    stop() {
      drawn = "";
      under.abort();
    },
  };
})();
