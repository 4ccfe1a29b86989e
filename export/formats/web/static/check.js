// Whether this browser draws the pixels that PyTorch drew when the folder was made.

// The most by which two images differ, in levels.
export function levels(found, expected) {
  if (found.length !== expected.length) throw new RangeError("these are not as many pixels");
  let most = 0;
  for (let i = 0; i < found.length; i += 1) most = Math.max(most, Math.abs(found[i] - expected[i]));
  return most;
}

async function said() {
  const response = await fetch(new URL("check.json", import.meta.url));
  if (!response.ok) throw new Error(`check.json cannot be loaded: the host answers with status ${response.status}`);
  return response.json();
}

// Draws the images of `check.json` by `draw(seeds, label, truncation, truncationKind)` and compares them: how many, by
// how many levels of 255 they differ at most, and whether that is as much as the folder allows (one, if it does not
// say).
export async function check(draw, expected = said()) {
  const { seeds, pixels, levels: allowed = 1 } = await expected;
  const found = await draw(BigUint64Array.from(seeds, BigInt), null, null, "truncated");
  const most = levels(found, Uint8Array.from(atob(pixels), (byte) => byte.charCodeAt(0)));
  return { passed: most <= allowed, images: seeds.length, levels: most, allowed };
}
