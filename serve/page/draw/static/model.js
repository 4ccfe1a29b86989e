"use strict";
// What the source of images says of its model, as the page shows it.

const KINDS = { 1: "grey", 3: "RGB", 4: "RGBA" };

// What /v1/model says, in the page's own words.
function modelOf(said) {
  const { height, width, channels } = said.image;
  return {
    name: readable(String(said.name)),
    digest: String(said.digest),
    image: { height, width, channels },
    classes: Array.isArray(said.classes) ? said.classes.map(String) : [],
    said,
  };
}

function scientific(value) {
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(1).split("e");
  const raised = [...String(Number(exponent))].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");
  return `${mantissa}\u00a0×\u00a010${raised.join("")}`;
}

function originOf(origin) {
  if (!Number.isFinite(origin?.step)) return null;
  const scores = Object.entries(origin.scores ?? {}).filter(([, value]) => Number.isFinite(value));
  const named = (name) => (name === "frechet_distance" ? "Fréchet distance" : name.toUpperCase());
  const more = scores.map(([name, value]) => `${named(name)} ${value.toFixed(1)}`);
  if (origin.checkpoint) more.unshift(origin.checkpoint);
  return { main: origin.step.toLocaleString("en"), more: more.join(", ") };
}

function parityOf(parity) {
  if (typeof parity?.passed !== "boolean") return { main: "not measured", more: String(parity?.reason ?? "") };
  if (!parity.passed) return { main: "did not hold", more: "against PyTorch" };
  const figure = Number.isFinite(parity.max_abs) ? scientific(parity.max_abs) : "held";
  const gate = parity.gates?.max_abs;
  const allowed = Number.isFinite(gate) ? `, ${scientific(gate)} allowed` : "";
  return { main: figure, more: `largest error against PyTorch${allowed}` };
}

function showFacts({ said, image, classes }) {
  const rows = [["image", `${image.width} × ${image.height}`, KINDS[image.channels] ?? ""]];
  if (classes.length) rows.push(["classes", String(classes.length), ""]);
  const origin = originOf(said.origin);
  if (origin) rows.push(["step", origin.main, origin.more]);
  const parity = parityOf(said.parity);
  rows.push(["parity", parity.main, parity.more]);
  rows.push(source.runsOn(said));
  byId("facts").replaceChildren(...rows.map(([name, value, more]) => element(
    "div", {}, element("dt", { textContent: name }),
    element("dd", {}, element("b", { textContent: value }), element("small", { textContent: more })),
  )));
  byId("facts").hidden = false;
}

function showModel(model) {
  const { said, image, classes } = model;
  showFacts(model);
  byId("name").textContent = model.name;
  document.title = `${model.name} · ${source.name}`;
  byId("lead").textContent = `${source.formatOf(said)} file, SHA-256 ${model.digest.slice(0, 16)}…`;
  byId("lead").title = model.digest;
  byId("lead").hidden = false;

  const across = Math.max(image.width, image.height);
  const root = document.documentElement;
  const scaled = (to) => Math.max(1, Math.round(to / across)) * image.width;
  const tile = across > 128 ? (174 * image.width) / across : scaled(128); // 8 or 6 side by side
  root.style.setProperty("--tile", `${tile}px`);
  root.style.setProperty("--whole", `${Math.max(scaled(512), Math.min(image.width, 512))}px`);
  root.style.setProperty("--ratio", `${image.width} / ${image.height}`);
  root.classList.toggle("clear", image.channels === 4);
  root.classList.toggle("fine", across > 128); // drawn smaller than it is

  byId("label-field").hidden = !classes.length;
  byId("label").replaceChildren(
    element("option", { value: "", textContent: "each its own" }),
    ...classes.map((name, i) => element("option", { value: String(i), textContent: readable(name) })),
  );
}

// Made here: the page loads no file, and a browser that finds no icon asks for one.
function showIcon() {
  const squares = [["#1f5fae", 0, 0], ["#b4552d", 8, 0], ["#4d8c57", 0, 8], ["#7a5fa8", 8, 8]];
  const drawn = squares.map(([fill, x, y]) => `<path fill="${fill}" d="M${x} ${y}h8v8h-8z"/>`).join("");
  const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${drawn}</svg>`;
  const href = URL.createObjectURL(new Blob([icon], { type: "image/svg+xml" }));
  document.head.append(element("link", { rel: "icon", href }));
}
