"use strict";
// Keeps this folder's files in the browser: once loaded, the page needs no network. Every file is the one whose digest
// stands here, so that old and new files are never mixed; a replaced folder takes over at the next load.

// files: path → SHA-256 of its bytes; later: those kept once they are used
const { version, files, later } = {{kept}};

const BASE = new URL("./", location.href).href; // below another path too
const NAME = `wgan ${BASE} ${version}`;
const HEADERS = /^(content-type|content-security-policy|cross-origin-.*)$/; // of the host's, those that still hold
const FRESH = "wgan.json"; // what was measured: it may be measured again

const digestOf = async (bytes) => {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

async function keep(path) {
  const cache = await caches.open(NAME);
  const address = new URL(path, BASE).href;
  if (await cache.match(address)) return;
  let reply = await fetch(address, { cache: "no-cache" });
  let bytes = await reply.arrayBuffer();
  if (reply.ok && await digestOf(bytes) !== files[path]) { // something on the way keeps an older one
    reply = await fetch(address, { cache: "reload" });
    bytes = await reply.arrayBuffer();
  }
  if (!reply.ok || await digestOf(bytes) !== files[path]) throw new Error(`${path} is not this version's`);
  // made anew: a reply that was redirected opens no page
  const headers = Object.fromEntries([...reply.headers].filter(([name]) => HEADERS.test(name)));
  await cache.put(address, new Response(bytes, { headers }));
}

async function fresh(request) {
  const cache = await caches.open(NAME);
  try {
    const reply = await fetch(request, { cache: "no-cache" });
    if (reply.ok) await cache.put(BASE + FRESH, reply.clone());
    return reply;
  } catch (error) {
    const before = await cache.match(BASE + FRESH);
    if (before) return before;
    throw error;
  }
}

async function kept(request, path) {
  if (request.mode === "navigate" && registration.waiting && (await clients.matchAll()).length < 2) {
    // the last page of this version goes: the next is the new version's, all of it
    registration.waiting.postMessage("take over");
    return new Response("", { headers: { refresh: "0", "content-type": "text/html" } });
  }
  const cache = await caches.open(NAME);
  return await cache.match(new URL(path, BASE).href) ?? fetch(request);
}

addEventListener("install", (event) => {
  const now = Object.keys(files).filter((path) => !later.includes(path));
  event.waitUntil(Promise.all(now.map(keep)).then(() => fresh(new Request(BASE + FRESH)).catch(() => {})));
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(`wgan ${BASE} `) && name !== NAME) await caches.delete(name);
    }
  })());
});

addEventListener("message", (event) => {
  if (event.data === "take over") skipWaiting();
  if (event.data === "later") event.waitUntil(Promise.all(later.map(keep)));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || !(address.origin + address.pathname).startsWith(BASE)) return;
  const path = decodeURIComponent((address.origin + address.pathname).slice(BASE.length)) || "index.html";
  if (path === FRESH) event.respondWith(fresh(request));
  else if (Object.hasOwn(files, path)) event.respondWith(kept(request, path));
});
