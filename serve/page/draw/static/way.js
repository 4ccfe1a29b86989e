"use strict";
// The way from one image to another: all its steps at once, played and laid side by side.

const way = (() => {
  const SHOWN = 8; // steps in the strip
  const EVERY = 60; // ms a step
  const frame = byId("frame");
  const strip = byId("strip");
  const at = byId("at");
  const play = byId("play");
  let frames = []; // ImageData
  let words = "";
  let made = ""; // what is there already
  let timer = null;
  let under = new AbortController();

  // Grey, RGB or RGBA rows of bytes as what a canvas takes
  function framesOf(bytes, count, { height, width, channels }) {
    const size = height * width;
    if (bytes.length !== count * size * channels) {
      throw new Failure("There is another model by now: load the page again.", 0);
    }
    return Array.from({ length: count }, (_, i) => {
      const made = new ImageData(width, height);
      for (let pixel = 0, from = i * size * channels; pixel < size; pixel += 1, from += channels) {
        for (let c = 0; c < 3; c += 1) made.data[4 * pixel + c] = bytes[from + (channels < 3 ? 0 : c)];
        made.data[4 * pixel + 3] = channels === 4 ? bytes[from + 3] : 255;
      }
      return made;
    });
  }

  function show(index) {
    frame.getContext("2d").putImageData(frames[index], 0, 0);
    at.value = String(index + 1);
    at.setAttribute("aria-valuetext", `step ${index + 1} of ${frames.length}`);
    byId("at-shown").textContent = `${index + 1} of ${frames.length}`;
    frame.setAttribute("aria-label", `Step ${index + 1} of ${frames.length} ${words}`);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function start() {
    let index = Number(at.value) >= frames.length ? 0 : Number(at.value) - 1;
    show(index);
    play.textContent = "Stop";
    timer = setInterval(() => {
      index += 1;
      if (index >= frames.length) stop();
      else show(index);
    }, EVERY);
  }

  function lay(canvas, chosen) {
    canvas.width = chosen.length * frame.width;
    canvas.height = frame.height;
    chosen.forEach((one, i) => canvas.getContext("2d").putImageData(one, i * frame.width, 0));
  }

  function save() {
    const all = document.createElement("canvas");
    lay(all, frames);
    all.toBlob((blob) => {
      const address = URL.createObjectURL(blob);
      element("a", { href: address, download: `${words.replace(/\W+/g, "-").replace(/^-|-$/g, "")}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
  }

  play.addEventListener("click", () => (timer ? stop() : start()));
  at.addEventListener("input", () => {
    stop();
    show(Number(at.value) - 1);
  });
  byId("save-strip").addEventListener("click", save);

  return {
    // The steps, shown; null where another way came between
    async go({ model, look, from, to, steps, again }) {
      const wanted = JSON.stringify([model.digest, look, String(from), String(to), steps]);
      if (made === wanted && !again) return steps;
      made = "";
      under.abort();
      under = new AbortController();
      const { signal } = under;
      const bytes = await source.way(model, look, { from, to, steps }, signal);
      if (signal.aborted) return null;
      stop();
      frames = framesOf(bytes, steps, model.image);
      words = `from seed ${from} to seed ${to}`;
      [frame.width, frame.height] = [model.image.width, model.image.height];
      at.max = String(steps);
      const few = Math.min(SHOWN, steps);
      lay(strip, Array.from({ length: few }, (_, i) => frames[Math.round((i * (steps - 1)) / (few - 1))]));
      strip.style.width = `calc(${few} * min(var(--tile), 128px))`;
      strip.setAttribute("aria-label", `${few} steps ${words}`);
      byId("way-shown").hidden = false;
      made = wanted;
      show(0);
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) start();
      return steps;
    },
    hide() {
      made = "";
      under.abort();
      stop();
      byId("way-shown").hidden = true;
    },
    get shown() {
      return !byId("way-shown").hidden;
    },
  };
})();
