"use strict";
// Each chart's drawing gives way to one that answers: the values at a step, zoom, a logarithmic axis, lines on and off.
(() => {
  const SMOOTHED_FROM = 24;
  const FONT = "12px system-ui, sans-serif";
  const live = []; // every chart of the page: zoomed and pointed at together where they count the same across

  class Chart {
    constructor(figure, data) {
      this.figure = figure;
      this.data = data;
      this.log = data.log;
      this.hidden = new Set();
      this.values = [data.x];
      this.series = []; // {line, faint}: what each of uPlot's series after the first is
      data.lines.forEach((line, i) => {
        const many = line.y.filter((value) => value != null).length >= SMOOTHED_FROM;
        this.values.push(line.y);
        this.series.push({ line: i, faint: many });
        if (many) {
          this.values.push(smoothed(line.y));
          this.series.push({ line: i, faint: false });
        }
      });
      const all = data.lines.flatMap((line) => line.y.filter((value) => value != null));
      this.lowest = Math.min(...all);
      this.highest = Math.max(...all);
      this.build();
    }

    build() {
      const title = this.data.title;
      this.place = element("div", { className: "plot", tabIndex: 0 });
      this.place.setAttribute("role", "group");
      this.place.setAttribute(
        "aria-label",
        `${title}: left and right arrows read the values, plus and minus zoom, 0 shows all`,
      );
      this.at = element("span", { className: "at", textContent: " " });
      this.keys = this.data.lines.map((line, i) => this.key(line, i));
      this.readout = element("div", { className: "readout" }, this.at, ...this.keys);
      this.logButton = this.button("Log axis", () => this.setLog(!this.log));
      this.logButton.setAttribute("aria-pressed", String(this.log));
      this.logButton.disabled = this.lowest <= 0;
      if (this.lowest <= 0) this.logButton.title = "needs values above 0";
      this.resetButton = this.button("Show all", () => this.together((chart) => chart.zoom(null)));
      const save = this.button("PNG", () => this.save());
      this.figure.append(
        this.readout,
        this.place,
        element("div", { className: "tools" }, this.logButton, this.resetButton, save),
      );
      this.figure.classList.add("live"); // shows the place, whose width the chart takes
      this.plot();
      new ResizeObserver(() => this.u.setSize(this.size())).observe(this.place);
      this.place.addEventListener("keydown", (event) => this.pressed(event));
      this.place.addEventListener("pointermove", () => this.readout.removeAttribute("aria-live"));
    }

    key(line, i) {
      const value = element("b", { textContent: "" });
      const name = line.name || "value";
      const made = element("button", { type: "button", className: `key ${line.colour}` }, name, " ", value);
      made.said = value;
      made.setAttribute("aria-pressed", "true");
      made.title = "show or hide";
      made.addEventListener("click", () => {
        const show = this.hidden.delete(i);
        if (!show) this.hidden.add(i);
        made.setAttribute("aria-pressed", String(show));
        this.series.forEach((one, at) => one.line === i && this.u.setSeries(at + 1, { show }));
      });
      if (this.data.lines.length === 1) made.disabled = true;
      return made;
    }

    button(name, act) {
      const made = element("button", { type: "button", textContent: name });
      made.setAttribute("aria-label", `${this.data.title}: ${name}`);
      made.addEventListener("click", act);
      return made;
    }

    size() {
      const width = Math.max(220, this.place.clientWidth);
      return { width, height: Math.round(Math.min(300, Math.max(200, width * 0.52))) };
    }

    plot() {
      const { doubling, across } = this.data;
      const soft = () => colourOf("soft");
      const options = {
        ...this.size(),
        legend: { show: false },
        padding: [10, 12, 0, 0],
        cursor: { sync: { key: across }, y: false, points: { size: 7 }, drag: { x: true, y: false, dist: 8 } },
        scales: {
          x: doubling ? { time: false, distr: 3, log: 2 } : { time: false },
          y: this.log ? { distr: 3 } : { range: (u, low, high) => this.heights(low, high) },
        },
        axes: [
          {
            stroke: soft, font: FONT, size: 28, label: across, labelSize: 20, labelGap: 2, labelFont: FONT,
            grid: { show: false }, ticks: { stroke: soft, size: 4 },
            splits: doubling ? () => this.data.x : undefined, filter: doubling ? (u, at) => at : undefined,
            values: (u, at) => at.map((value) => (value == null ? "" : shortNumber(value))),
          },
          {
            stroke: soft, font: FONT, size: 54, ticks: { show: false },
            grid: { stroke: () => colourOf("rule"), width: 1 },
            values: (u, at) => at.map((value) => (value == null ? "" : shortNumber(value))),
          },
        ],
        series: [{}, ...this.series.map((one) => this.style(one))],
        hooks: {
          ready: [(u) => this.ready(u)],
          setCursor: [(u) => this.read(u.cursor.idx)],
          setScale: [(u, name) => name === "x" && this.scaled(u)],
          drawAxes: [(u) => this.marks(u)],
        },
      };
      this.u = new uPlot(options, this.values, this.place);
      this.read(null);
    }

    style({ line, faint }) {
      const [name, dashed] = this.data.lines[line].colour.split(" ");
      return {
        stroke: () => colourOf(name), alpha: faint ? 0.35 : 1, width: faint ? 1 : 2, dash: dashed ? [6, 4] : undefined,
        spanGaps: true, show: !this.hidden.has(line), points: { show: !faint && this.data.x.length < SMOOTHED_FROM, size: 6 },
      };
    }

    // all that there is looks as in the drawing; a part of it fills the height
    heights(low, high) {
      if (low === this.lowest && high === this.highest) return this.data.range;
      return low == null ? [0, 1] : uPlot.rangeNum(low, high, 0.1, true);
    }

    read(index) {
      const step = index == null ? null : this.data.x[index];
      this.at.textContent = step == null ? "point at the chart to read it" : `${this.data.across}: ${exactNumber(step)}`;
      this.data.lines.forEach((line, i) => {
        // a line that has nothing at this very step says what it was before
        let at = index;
        while (at > 0 && line.y[at] == null) at -= 1;
        this.keys[i].said.textContent = index == null ? "" : roundNumber(line.y[at]);
      });
    }

    ready(u) {
      this.whole ??= [u.scales.x.min, u.scales.x.max];
      this.scaled(u);
    }

    scaled(u) {
      if (!this.whole) return;
      this.resetButton.disabled = u.scales.x.min === this.whole[0] && u.scales.x.max === this.whole[1];
    }

    marks(u) {
      const { ctx, bbox } = u;
      const ratio = devicePixelRatio;
      const line = (from, to, stroke, dash) => {
        ctx.beginPath();
        ctx.strokeStyle = stroke;
        ctx.lineWidth = 1.5 * ratio;
        ctx.setLineDash(dash.map((length) => length * ratio));
        ctx.moveTo(...from);
        ctx.lineTo(...to);
        ctx.stroke();
      };
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      const { reference } = this.data;
      if (reference != null && !(this.log && reference <= 0)) {
        const y = u.valToPos(reference, "y", true);
        line([bbox.left, y], [bbox.left + bbox.width, y], colourOf("soft"), [4, 4]);
      }
      for (const [step, name] of this.data.marks) {
        const x = u.valToPos(step, "x", true);
        line([x, bbox.top], [x, bbox.top + bbox.height], colourOf(name ? "good" : "c2"), name ? [] : [2, 3]);
        if (!name) continue;
        const left = x > bbox.left + bbox.width / 2;
        ctx.font = `${12 * ratio}px system-ui, sans-serif`;
        ctx.fillStyle = colourOf("good");
        ctx.textAlign = left ? "right" : "left";
        ctx.textBaseline = "top";
        ctx.fillText(name, x + (left ? -5 : 5) * ratio, bbox.top + 2 * ratio);
      }
      ctx.restore();
    }

    together(act) {
      live.filter((chart) => chart.data.across === this.data.across).forEach(act);
    }

    zoom(range) {
      const [min, max] = range ?? this.whole;
      this.u.setScale("x", { min, max });
    }

    setLog(log) {
      const { min, max } = this.u.scales.x;
      this.log = log;
      this.logButton.setAttribute("aria-pressed", String(log));
      this.u.destroy();
      this.plot();
      this.zoom([min, max]);
    }

    pressed(event) {
      const x = this.data.x;
      const { min, max } = this.u.scales.x;
      const now = this.u.cursor.idx;
      const middle = now == null ? (min + max) / 2 : x[now];
      const scale = (factor) => this.together((chart) => chart.zoom([middle - (middle - min) * factor, middle + (max - middle) * factor]));
      const go = (index) => {
        const at = Math.min(x.length - 1, Math.max(0, index));
        this.readout.setAttribute("aria-live", "polite");
        this.u.setCursor({ left: this.u.valToPos(x[at], "x"), top: 10 });
      };
      const acts = {
        ArrowLeft: () => go(now == null ? x.length - 1 : now - 1),
        ArrowRight: () => go(now == null ? 0 : now + 1),
        Home: () => go(0),
        End: () => go(x.length - 1),
        "+": () => scale(0.6),
        "=": () => scale(0.6),
        "-": () => scale(1 / 0.6),
        0: () => this.together((chart) => chart.zoom(null)),
      };
      if (event.ctrlKey || event.metaKey || event.altKey || !acts[event.key]) return;
      event.preventDefault();
      acts[event.key]();
    }

    save() {
      const named = this.data.lines.filter((line, i) => line.name && !this.hidden.has(i));
      const entries = named.map((line) => ({ name: line.name, colour: line.colour.split(" ")[0] }));
      saveChart(this.data.title, entries, this.u.ctx.canvas);
    }
  }

  for (const figure of document.querySelectorAll("figure.chart")) {
    const source = figure.querySelector('script[type="application/json"]');
    if (!source) continue;
    try {
      live.push(new Chart(figure, JSON.parse(source.textContent)));
    } catch (error) {
      figure.classList.remove("live"); // the drawing stays
      figure.querySelectorAll(".readout, .plot, .tools").forEach((made) => made.remove());
      console.error(error);
    }
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => live.forEach((chart) => chart.u.redraw(false, true)));
  document.documentElement.dataset.charts = String(live.length);
})();
