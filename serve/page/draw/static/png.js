"use strict";
// The PNG file of an image (W3C's specification, third edition): its pixels exactly, and what it says of itself.
// A canvas would multiply colours by alpha and could say nothing.

const png = (() => {
  const COLOUR = { 1: 0, 3: 2, 4: 6 }; // the type of so many channels: grey, RGB, RGBA
  const UP = 2; // the filter: each row is its difference to the row above

  const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c;
  });

  function crc(bytes) {
    let c = 0xffffffff;
    for (const byte of bytes) c = TABLE[(c ^ byte) & 255] ^ (c >>> 8);
    return ~c >>> 0;
  }

  const number = (value) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return bytes;
  };

  function joined(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  function chunk(kind, data) {
    const named = joined(latin(kind), data);
    return joined(number(data.length), named, number(crc(named)));
  }

  const latin = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

  // As Latin-1 where it can be (tEXt), else as UTF-8 (iTXt): not compressed, of no language, its key not translated
  function textChunk(key, value) {
    if (/^[\0-\xff]*$/.test(value)) return chunk("tEXt", joined(latin(key), [0], latin(value)));
    return chunk("iTXt", joined(latin(key), [0, 0, 0, 0, 0], new TextEncoder().encode(value)));
  }

  function filtered(pixels, height, row) {
    const all = new Uint8Array(height * (row + 1));
    for (let y = 0; y < height; y += 1) {
      const [from, to] = [y * row, y * (row + 1)];
      all[to] = UP;
      for (let x = 0; x < row; x += 1) all[to + 1 + x] = pixels[from + x] - (y ? pixels[from + x - row] : 0);
    }
    return all;
  }

  async function compressed(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // A Blob of one image's rows (H · W · C bytes), with `text` as {keyword: text} before the pixels
  return async (pixels, { height, width, channels }, text) => {
    const head = joined(number(width), number(height), [8, COLOUR[channels], 0, 0, 0]);
    const parts = [new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), chunk("IHDR", head)];
    for (const [key, value] of Object.entries(text)) parts.push(textChunk(key, value));
    parts.push(chunk("IDAT", await compressed(filtered(pixels, height, width * channels))));
    return new Blob([...parts, chunk("IEND", new Uint8Array())], { type: "image/png" });
  };
})();
