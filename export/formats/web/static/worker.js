// The worker that draws, beside the page so that the page stays quick: see answers.js for what it takes and gives.

import { answer } from "./answers.js";

const url = new URL("./", import.meta.url).href;

async function got(name, read) {
  let response;
  try {
    response = await fetch(url + name);
  } catch {
    throw new Error(`${name} cannot be loaded: is there a network?`);
  }
  if (!response.ok) throw new Error(`${name} cannot be loaded: the host answers with status ${response.status}`);
  return read(response);
}

answer(self, {
  url,
  bytes: (name) => got(name, async (response) => new Uint8Array(await response.arrayBuffer())),
  json: (name) => got(name, (response) => response.json()),
});
