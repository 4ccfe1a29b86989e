"use strict";
// What an image is asked for by, and what its file says of itself. Seeds are BigInt: they go past what a Number holds.
// `source` is where images come from: a server (served.js), or this browser (browser.js). Each of them has
//   name, here, model(), image(model, look, seed, signal), way(model, look, { from, to, steps }, signal),
//   listen(page), locked(), adopted(model), drawn(), enlarged(model, look, seed), runsOn(said) and formatOf(said).

const SEEDS = 2n ** 63n;
const RANDOM = 2n ** 32n; // a drawn seed lies below it: short enough to be read out

const byId = (id) => document.getElementById(id);

class Failure extends Error {
  constructor(words, status, { wait = null, code = "" } = {}) {
    super(words);
    Object.assign(this, { status, wait, code }); // wait: seconds until it is worth another try; null: it is not
  }
}

// The seed that a text is, or null.
function seedOf(text) {
  const trimmed = (text ?? "").trim();
  if (!/^\d{1,19}$/.test(trimmed)) return null;
  const seed = BigInt(trimmed);
  return seed < SEEDS ? seed : null;
}

function randomSeed() {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]) % RANDOM;
}

// A name as it is shown, whatever is in it: what would turn the letters around it, or hide, is written out.
function readable(name) {
  const hidden = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  return name.replace(hidden, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

// The class of a seed: the one chosen, or the seed's own as the sampler deals them out; null where there are none.
function classOf(model, look, seed) {
  if (look.label !== null) return look.label;
  return model.classes.length ? model.classes[Number(seed % BigInt(model.classes.length))] : null;
}

// The fields by which images that look so are asked for.
function asked(look) {
  const fields = {};
  if (look.label !== null) fields.label = look.label;
  if (look.truncation !== null) {
    fields.truncation = look.truncation;
    if (look.kind !== "truncated") fields.truncation_kind = look.kind;
  }
  return fields;
}

function inWords(model, look, seed) {
  const named = classOf(model, look, seed);
  return named === null ? `seed ${seed}` : `seed ${seed}, ${readable(named)}`;
}

// Every text chunk before the pixels of a PNG, as {keyword: text}.
function textOf(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  const read = (kind, from, to) => new TextDecoder(kind).decode(bytes.subarray(from, to));
  const found = {};
  for (let at = 8; at + 12 <= bytes.length;) {
    const end = at + 8 + view.getUint32(at);
    const kind = read("latin1", at + 4, at + 8);
    if (kind === "IDAT" || end > bytes.length) break;
    const zero = bytes.indexOf(0, at + 8);
    if (kind === "tEXt" && zero >= 0 && zero < end) {
      found[read("latin1", at + 8, zero)] = read("latin1", zero + 1, end);
    }
    if (kind === "iTXt" && zero >= 0 && zero < end && bytes[zero + 1] === 0) {
      const translated = bytes.indexOf(0, bytes.indexOf(0, zero + 3) + 1);
      found[read("latin1", at + 8, zero)] = read("utf-8", translated + 1, end);
    }
    at = end + 4;
  }
  return found;
}

// Puts a text on the clipboard, and says so on the button for a moment.
async function copied(text, button, tell) {
  const before = button.dataset.words ?? button.textContent;
  button.dataset.words = before;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    byHand(text, button.parentElement); // a page from another machine without TLS has no clipboard
  }
  button.textContent = "Copied";
  tell("Copied.");
  setTimeout(() => {
    button.textContent = before;
  }, 2000);
}

function byHand(text, beside) {
  const input = element("textarea", { value: text, className: "aside" });
  beside.append(input); // in the dialog, where one is open: the rest of the page takes no focus
  input.select();
  document.execCommand("copy");
  input.remove();
}
