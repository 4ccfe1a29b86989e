"use strict";
// What the report's other scripts share.

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const exactNumber = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });
const roundNumber = (value) => (value == null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 4 }));

function shortNumber(value) {
  const size = Math.abs(value);
  const [scale, unit] = size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${Number((value / scale).toPrecision(4))}${unit}`.replace("-", "−");
}

// Centred moving average over the values that there are, narrower towards the ends
function smoothed(values) {
  const places = values.flatMap((value, i) => (value == null ? [] : [i]));
  const reach = Math.max(1, Math.floor(places.length / 40));
  const result = values.map(() => null);
  places.forEach((place, i) => {
    const near = Math.max(Math.min(reach, i, places.length - 1 - i), Math.floor(reach / 2));
    const window = places.slice(Math.max(0, i - near), i + near + 1);
    result[place] = window.reduce((sum, at) => sum + values[at], 0) / window.length;
  });
  return result;
}

// A chart as it is seen, with its title and the names of its lines above.
function saveChart(title, entries, drawn) {
  const ratio = devicePixelRatio;
  const head = 44 * ratio;
  const canvas = element("canvas", { width: drawn.width, height: drawn.height + head });
  const ctx = canvas.getContext("2d");
  const write = (text, x, y, fill, font) => {
    ctx.fillStyle = fill;
    ctx.font = font;
    ctx.fillText(text, x, y * ratio);
    return ctx.measureText(text).width;
  };
  ctx.fillStyle = colourOf("paper");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  write(title, 10 * ratio, 19, colourOf("ink"), `600 ${15 * ratio}px system-ui, sans-serif`);
  let x = 10 * ratio;
  for (const { name, colour } of entries) {
    x += write(name, x, 37, colourOf(colour), `${12 * ratio}px system-ui, sans-serif`) + 14 * ratio;
  }
  ctx.drawImage(drawn, 0, head);
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  element("a", { href: canvas.toDataURL("image/png"), download: `${name}.png` }).click();
}
