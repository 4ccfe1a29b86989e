"use strict";
// The page: what is chosen, drawn, enlarged and travelled, and what happens when images do not come.

(() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let model = null; // none while the source is locked

  const notice = (words) => {
    byId("status").textContent = words;
  };
  const aboutWay = (words) => {
    byId("way-status").textContent = words;
  };

  // ----- failures

  function fail(error, again = null) {
    if (error.status === 401) source.locked();
    else if (error.status === 404 && model) exchanged(error);
    else {
      byId("failure-words").textContent = error.message;
      byId("failure").hidden = false;
      byId("again").hidden = again === null;
      byId("again").onclick = again;
    }
  }

  const settle = () => {
    byId("failure").hidden = true;
  };

  // Perhaps another model came in the place of the one that the page knew
  async function exchanged(error) {
    const before = model.digest;
    const found = await fetched();
    if (!found) return;
    if (found.digest === before) fail(new Failure(error.message, 0));
    else adopt(found, "The server has a new model: these are its images.");
  }

  function shut() {
    model = null;
    gallery.stop();
    way.hide();
    if (large.open) large.close();
    settle();
    for (const id of ["drawing", "way", "foot"]) byId(id).hidden = true;
  }

  // ----- the model

  async function fetched() {
    settle();
    try {
      return modelOf(await source.model());
    } catch (error) {
      fail(error, load);
      return null;
    }
  }

  async function load() {
    const found = await fetched();
    if (found) adopt(found);
  }

  function adopt(found, words = "") {
    model = found;
    showModel(model);
    for (const id of ["drawing", "way", "foot"]) byId(id).hidden = false;
    source.adopted(model);
    restore(words);
    address.write("replaceState"); // the first seed too: the way back leads to these images
    document.documentElement.dataset.live = "yes";
  }

  // ----- images

  async function draw(words = "") {
    settle();
    if (state.first > SEEDS - BigInt(state.count)) state.first = SEEDS - BigInt(state.count);
    controls.show(model);
    notice(words || "Drawing …");
    const drawing = gallery.draw({ model, look: look(), first: state.first, count: state.count, on });
    mark();
    const done = await drawing;
    if (done === null) return;
    const last = state.first + BigInt(state.count - 1);
    const which = state.count === 1 ? `seed ${state.first}` : `seeds ${state.first} to ${last}`;
    const all = `${done.made === 1 ? "1 image" : `${done.made} images`}, ${which}.`;
    const missing = state.count - done.made;
    notice([words, missing ? `${missing} of ${state.count} images did not come.` : all].filter(Boolean).join(" "));
    if (done.failure) fail(done.failure, () => draw());
  }

  function drawFrom(seed) {
    state.first = seed;
    address.write("pushState", null);
    draw();
  }

  function changed() {
    controls.readLook(model);
    address.write("replaceState");
    draw();
    if (way.shown) travel();
  }

  function open(seed, how = "pushState") {
    state.seed = seed;
    address.write(how, how === "pushState" ? { opened: true } : history.state);
    enlarge();
  }

  function enlarge() {
    large.show({ seed: state.seed, model, look: look(), link: address.ofImage(model), ends: state });
  }

  // ----- the way

  function mark() {
    gallery.mark(state.from, state.to);
    large.mark(state);
  }

  // An end of the way: the same seed again lets go of it
  function end(name, seed) {
    state[name] = state[name] === seed ? null : seed;
    byId(name).value = state[name] === null ? "" : String(seed);
    address.write("replaceState");
    mark();
  }

  async function travel({ again = true, look: at = false } = {}) {
    const ends = controls.ends();
    if (ends === null) return;
    [state.from, state.to] = ends;
    state.steps = Number(byId("steps").value);
    mark();
    address.write("replaceState");
    aboutWay("Making the way …");
    try {
      const { from, to, steps } = state;
      if (await way.go({ model, look: look(), from, to, steps, again }) === null) return;
      aboutWay(`${steps} steps from seed ${from} to seed ${to}.`);
      if (at) byId("way").scrollIntoView({ block: "end", behavior: calm.matches ? "auto" : "smooth" });
    } catch (error) {
      if (error.name === "AbortError") return;
      aboutWay(error.message);
      fail(error, () => travel());
    }
  }

  // ----- the address

  // Everything anew, as the address says
  function restore(before = "") {
    draw([before, address.read(model)].filter(Boolean).join(" "));
    if (state.seed !== null) enlarge();
    else if (large.open) large.close();
    if (state.from !== null && state.to !== null) travel({ again: false });
    else way.hide();
  }

  function travelled() {
    if (!model) return;
    if (state.seed === null || new URLSearchParams(location.search).has("seed")) return void restore();
    state.seed = null; // the large image was closed: what was chosen meanwhile stays
    if (large.open) large.close();
    address.write("replaceState");
    if (state.from !== null && state.to !== null) travel({ again: false });
    return undefined;
  }

  const on = {
    open,
    end,
    move: (seed) => open(seed, "replaceState"),
    pick(seed) {
      const taken = ["from", "to"].find((name) => state[name] === seed);
      end(taken ?? (state.from === null ? "from" : "to"), seed);
      if (state.from !== null && state.to !== null) travel({ look: true });
    },
    fail(error) {
      if (error.status === 401 || error.status === 404) fail(error); // the rest is said beside the image
    },
    close() {
      if (state.seed === null) return; // the address was there first
      if (history.state?.opened) history.back();
      else {
        state.seed = null;
        address.write("replaceState");
      }
    },
  };

  function listen() {
    const click = (id, act) => byId(id).addEventListener("click", act);
    const change = (id, act) => byId(id).addEventListener("change", act);
    const submit = (id, act) => byId(id).addEventListener("submit", (event) => {
      event.preventDefault();
      act();
    });
    submit("controls", () => {
      const seed = controls.first();
      if (seed !== null) drawFrom(seed);
    });
    click("draw", () => drawFrom(randomSeed()));
    change("count", () => {
      state.count = Number(byId("count").value);
      address.write("replaceState");
      draw();
    });
    for (const id of ["label", "kind", "threshold"]) change(id, changed);
    byId("threshold").addEventListener("input", () => {
      byId("threshold-shown").textContent = String(Number(byId("threshold").value));
    });
    submit("way-form", () => travel());
    click("copy-way", (event) => copied(address.ofWay(model), event.currentTarget, aboutWay));
    addEventListener("popstate", travelled);
    large.listen(on);
    source.listen({
      load,
      shut,
      fail,
      facts: () => model && showFacts(model),
      tell(words) {
        byId("waiting").textContent = words;
        if (large.open && words) large.tell(words); // the rest of the page is not heard then
      },
    });
  }

  byId("main").hidden = false;
  showIcon();
  listen();
  load();
})();
