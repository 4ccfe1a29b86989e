"use strict";
// Keeps the page in this browser, so that it draws without a network.

const keep = (() => {
  const KEPT = "Kept in this browser: this page draws without a network too.";
  const NEWER = "There is a newer version of this page: load it again to have it.";
  const say = (words) => {
    byId("kept").textContent = words;
  };
  const installed = (worker) => new Promise((done, fail) => {
    const look = () => {
      if (["installed", "activating", "activated"].includes(worker.state)) done();
      if (worker.state === "redundant") fail(new Error("a file of it did not come whole"));
    };
    worker.addEventListener("statechange", look);
    look();
  });

  async function follow(registration) {
    const first = registration.active === null;
    try {
      await installed(registration.installing);
      say(first ? KEPT : NEWER);
    } catch (error) {
      say(first ? `Not kept for use without a network: ${error.message}.`
        : "A newer version of this page did not come whole: this one stays.");
    }
  }

  return {
    async begin() {
      if (!("serviceWorker" in navigator)) {
        say(isSecureContext ? "Not kept for use without a network: this browser keeps no pages."
          : "Not kept for use without a network: browsers keep pages of https:// and of localhost alone.");
        return;
      }
      try {
        const registration = await navigator.serviceWorker.register(vouched("sw.js"));
        registration.addEventListener("updatefound", () => follow(registration));
        if (registration.installing) await follow(registration);
        else say(registration.waiting ? NEWER : KEPT);
      } catch (error) {
        say(`Not kept for use without a network: ${error.message}`);
      }
    },
    // The files of WebGPU too, now that they are used
    async later() {
      if (!navigator.serviceWorker) return;
      (await navigator.serviceWorker.ready).active.postMessage("later");
    },
  };
})();
