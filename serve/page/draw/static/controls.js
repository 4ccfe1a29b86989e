"use strict";
// The fields above the images and above the way: what they show, what is read from them, what in them is wrong.

const controls = (() => {
  const COUNTS = [8, 24, 48, 96];
  const NO_SEED = "A seed is a whole number from 0 to 2^63 - 1.";

  const options = (select, values, chosen) => {
    const all = values.includes(chosen) ? values : [...values, chosen].sort((a, b) => a - b);
    select.replaceChildren(...all.map((n) => element("option", { value: String(n), textContent: String(n) })));
    select.value = String(chosen);
  };

  // The seeds in these fields, all of one form; null, and said so there, where one is none.
  function seeds(names, wrong) {
    const found = names.map((name) => seedOf(byId(name).value));
    const bad = found.indexOf(null);
    names.forEach((name, i) => byId(name).setAttribute("aria-invalid", String(found[i] === null)));
    byId(wrong).textContent = bad < 0 ? "" : NO_SEED;
    byId(wrong).hidden = bad < 0;
    if (bad >= 0) byId(names[bad]).focus();
    return bad < 0 ? found : null;
  }

  return {
    // The state, in the fields
    show(model) {
      options(byId("count"), COUNTS, state.count);
      options(byId("steps"), [8, 16, 32, 64], state.steps);
      byId("first").value = String(state.first);
      byId("first").setAttribute("aria-invalid", "false");
      byId("first-wrong").hidden = true;
      byId("label").value = state.label === null ? "" : String(model.classes.indexOf(state.label));
      byId("kind").value = state.truncation === null ? "" : state.kind;
      byId("threshold").disabled = state.truncation === null;
      if (state.truncation !== null) byId("threshold").value = state.truncation;
      byId("threshold-shown").textContent = state.truncation ?? "";
      for (const name of ["from", "to"]) if (state[name] !== null) byId(name).value = String(state[name]);
    },
    // How images shall look, from the fields into the state
    readLook(model) {
      const label = byId("label").value;
      const kind = byId("kind").value;
      state.label = label === "" ? null : model.classes[Number(label)];
      state.truncation = kind === "" ? null : String(Number(byId("threshold").value));
      if (kind !== "") state.kind = kind;
    },
    first: () => seeds(["first"], "first-wrong")?.[0] ?? null,
    ends: () => seeds(["from", "to"], "way-wrong"),
  };
})();
