"use strict";
// The page's state, which its address holds: what is drawn, how it looks, which image is large, which way is shown.

const COUNT = 24; // of images, where nothing else is said
const [LOW, HIGH] = [0.001, 10]; // of a truncation

const state = {
  first: null, count: COUNT, seed: null, from: null, to: null, steps: 32, // seeds as BigInt
  label: null, truncation: null, kind: "truncated", // as text
};
const look = () => ({ label: state.label, truncation: state.truncation, kind: state.kind });

const address = (() => {
  const ofWay = () => {
    const { from, to, steps } = state;
    return from === null || to === null ? {} : { from, to, steps };
  };

  function whole() {
    const fields = {};
    if (state.seed !== null) fields.seed = state.seed;
    if (state.first !== null && state.first !== state.seed) fields.first = state.first;
    if (state.count !== COUNT) fields.n = state.count;
    return { ...fields, ...asked(look()), ...ofWay() };
  }

  function pageAt(fields) {
    const found = new URL(location.href);
    [found.search, found.hash] = [new URLSearchParams(fields), ""];
    return String(found);
  }

  // What the location asks for becomes the state. Returns what in it is wrong, in words.
  function read(model) {
    const fields = new URLSearchParams(location.search);
    const wrong = [];
    const seed = (name) => {
      const found = seedOf(fields.get(name));
      if (fields.has(name) && found === null) wrong.push(`“${name}” in the address is not a seed.`);
      return found;
    };
    const whole = (name, least, otherwise) => {
      const found = Number(fields.get(name) ?? "none");
      return Number.isInteger(found) && found >= least && found <= 256 ? found : otherwise;
    };
    [state.seed, state.from, state.to] = [seed("seed"), seed("from"), seed("to")];
    state.first = seed("first") ?? state.seed ?? state.first ?? randomSeed();
    state.count = whole("n", 1, COUNT);
    state.steps = whole("steps", 2, 32);
    state.label = fields.get("label");
    if (state.label !== null && !model.classes.includes(state.label)) {
      wrong.push(`This model has no class “${readable(state.label)}”.`);
      state.label = null;
    }
    const truncation = fields.has("truncation") ? Number(fields.get("truncation")) : null;
    const possible = truncation === null || (truncation >= LOW && truncation <= HIGH);
    if (!possible) wrong.push(`A truncation is a number from ${LOW} to ${HIGH}.`);
    state.truncation = truncation !== null && possible ? String(truncation) : null;
    state.kind = fields.get("truncation_kind") === "scaled" ? "scaled" : "truncated";
    const made = fields.get("model");
    if (made && !model.digest.startsWith(made)) {
      wrong.push(`The link was made with another model than ${source.here} has now: its images were others.`);
    }
    return wrong.join(" ");
  }

  // A link for others names the model too: with another one the same seed is another image
  const link = (model, fields) => pageAt({ ...fields, ...asked(look()), model: model.digest.slice(0, 16) });

  return {
    read,
    write(how, kept = history.state) {
      history[how](kept, "", pageAt(whole()));
    },
    ofImage: (model) => link(model, { seed: state.seed }),
    ofWay: (model) => link(model, ofWay()),
  };
})();
