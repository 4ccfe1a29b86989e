// From a generator's images to 8 bits, by the rule of serve/outputs/levels.py.

const f = Math.fround;

// float32 planes (N, C, H, W) in [-1, 1] to bytes (N, H, W, C): (x + 1) · 127.5, a half to the even level, values
// outside clipped: so a clamped array rounds (ECMA-262, ToUint8Clamp).
export function toBytes(images, { channels, height, width }) {
  const size = height * width;
  const bytes = new Uint8ClampedArray(images.length);
  for (let start = 0; start < images.length; start += size) {
    const plane = (start / size) % channels;
    const to = start - plane * size + plane; // of an image's first plane, and this channel in it
    for (let i = 0; i < size; i += 1) {
      const x = images[start + i];
      if (x - x !== 0) throw new Error("the generator produced NaN or infinity");
      bytes[to + i * channels] = f(f(x + 1) * 127.5);
    }
  }
  return new Uint8Array(bytes.buffer);
}
