"use strict";
// Above the strip of grids, one of them at full size, and a slider over the steps.
(() => {
  for (const strip of document.querySelectorAll(".strip[data-slider]")) {
    const frames = [...strip.querySelectorAll("figure")].map((figure) => ({
      image: figure.querySelector("img"),
      name: figure.querySelector("figcaption").textContent,
      figure,
    }));
    if (frames.length < 2) continue;
    const shown = element("img", { className: "shown" });
    const range = element("input", { type: "range", min: 0, max: frames.length - 1, step: 1 });
    const step = element("output");
    const play = element("button", { type: "button", textContent: "Play" });
    const label = element("label", {}, "Step ", range);
    let timer = null;

    const show = (index) => {
      const frame = frames[index];
      shown.src = frame.image.src;
      shown.alt = frame.image.alt;
      shown.width = frame.image.naturalWidth || frame.image.width;
      range.value = String(index);
      range.setAttribute("aria-valuetext", `step ${frame.name}`);
      step.textContent = frame.name;
      frames.forEach((other) => other.figure.classList.toggle("now", other === frame));
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    };
    range.addEventListener("input", () => {
      stop();
      show(Number(range.value));
    });
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(range.value) === frames.length - 1) show(0);
      play.textContent = "Stop";
      timer = setInterval(() => {
        const next = Number(range.value) + 1;
        if (next >= frames.length) return stop();
        show(next);
      }, 250);
      return undefined;
    });
    frames.forEach((frame, index) => frame.image.addEventListener("click", () => {
      stop();
      show(index);
    }));

    const controls = element("div", { className: "tools" }, label, step, play);
    strip.before(element("div", { className: "viewer" }, shown, controls));
    const best = frames.findIndex((frame) => frame.figure.classList.contains("best"));
    show(best < 0 ? frames.length - 1 : best);
  }
  document.documentElement.dataset.live = "yes";
})();
