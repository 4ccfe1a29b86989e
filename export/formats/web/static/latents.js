// The latent table of serve/latents/table.py, bit for bit: row s is the latent of seed s, here as everywhere.
//
// Words: numpy's Philox 4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), whose 64-bit
// numbers are two words of 32 bits here. 64 rows of 128 take 0.5 ms, with BigInt they take 2.5 ms (V8, one core).
//
// Normals: float32 operations are float64 ones, each rounded by Math.fround. float64 has more than twice the digits
// of float32 and two more, so rounding twice is rounding once for + - · / √ (Figueroa 1995, "When is double rounding
// innocuous?"), and IEEE 754 leaves no other choice.

export const SEEDS = 2n ** 63n; // rows in the table
const KEY = 0x7767616e; // "wgan"
const PER_BLOCK = 8; // normals in a Philox block: four 64-bit words of two

const f = Math.fround;
const SQRT_HALF = 0x3f3504f3; // the bits of float32(√½)
const EXPONENT = -(2 ** 23); // mask of the sign and exponent bits of a float32
const TURN = 2 ** -31;
const LN2 = f(-1.3862943611198906 * 2 ** -23); // -2 ln 2, for exponents that are shifted by 23 bits
const [L0, L1, L2, L3] = [1, 0.3333340883255005, 0.19987352192401886, 0.14963959157466888].map(f);
const [S0, S1, S2, S3, S4] = [
  1.570796251296997, -0.6459633708000183, 0.07968848198652267, -0.004672227893024683, 0.00015082056052051485,
].map(f);
const [C0, C1, C2, C3, C4, C5] = [
  1, -1.2337005138397217, 0.25366926193237305, -0.020862532779574394, 0.0009175466257147491, -2.375410622335039e-05,
].map(f);

const HALVES = 2 ** -32;
// The upper 32 bits of a product of words. float64 is off by at most 2^11 in it: the nearest whole number is right.
const high = (a, b) => ((a * b - (Math.imul(a, b) >>> 0)) * HALVES + 0.5) >>> 0;

// The block of a counter of three words, lowest first, into eight words at `out[at]`; the counter's other five are 0.
function philox(c0, c1, c2, out, at) {
  const [M0L, M0H, M1L, M1H] = [0xe14c6c93, 0xd2e7470e, 0x95121157, 0xca5a8263];
  // x of four numbers, each two words
  let [x0l, x0h, x1l, x1h, x2l, x2h, x3l, x3h] = [c0, c1, c2, 0, 0, 0, 0, 0];
  let [k0l, k0h, k1l, k1h] = [KEY, 0, 0, 0];
  for (let round = 0; round < 10; round += 1) {
    // M0 · x0 and M1 · x2, 128 bits each, as words a0 … a3 and b0 … b3
    let middle = high(M0L, x0l) + (Math.imul(M0H, x0l) >>> 0) + (Math.imul(M0L, x0h) >>> 0);
    let upper = high(M0H, x0l) + high(M0L, x0h) + (Math.imul(M0H, x0h) >>> 0) + ((middle * HALVES) >>> 0);
    const a0 = Math.imul(M0L, x0l) >>> 0;
    const a1 = middle >>> 0;
    const a2 = upper >>> 0;
    const a3 = (high(M0H, x0h) + ((upper * HALVES) >>> 0)) >>> 0;
    middle = high(M1L, x2l) + (Math.imul(M1H, x2l) >>> 0) + (Math.imul(M1L, x2h) >>> 0);
    upper = high(M1H, x2l) + high(M1L, x2h) + (Math.imul(M1H, x2h) >>> 0) + ((middle * HALVES) >>> 0);
    const b0 = Math.imul(M1L, x2l) >>> 0;
    const b1 = middle >>> 0;
    const b2 = upper >>> 0;
    const b3 = (high(M1H, x2h) + ((upper * HALVES) >>> 0)) >>> 0;

    x0l = (b2 ^ x1l ^ k0l) >>> 0;
    x0h = (b3 ^ x1h ^ k0h) >>> 0;
    x1l = b0;
    x1h = b1;
    x2l = (a2 ^ x3l ^ k1l) >>> 0;
    x2h = (a3 ^ x3h ^ k1h) >>> 0;
    x3l = a0;
    x3h = a1;

    let sum = k0l + 0x7f4a7c15;
    k0l = sum >>> 0;
    k0h = (k0h + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    sum = k1l + 0x84caa73b;
    k1l = sum >>> 0;
    k1h = (k1h + 0xbb67ae85 + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  }
  out[at] = x0l;
  out[at + 1] = x0h;
  out[at + 2] = x1l;
  out[at + 3] = x1h;
  out[at + 4] = x2l;
  out[at + 5] = x2h;
  out[at + 6] = x3l;
  out[at + 7] = x3h;
}

const WORD = 0xffffffffn;

// The words of row `seed`, which starts at block seed · blocks
function words(seed, blocks, out) {
  let first = seed * BigInt(blocks) + 1n; // numpy's generator counts before it draws
  for (let block = 0; block < blocks; block += 1, first += 1n) {
    const [c0, c1, c2] = [first & WORD, (first >> 32n) & WORD, first >> 64n].map(Number);
    philox(c0, c1, c2, out, block * PER_BLOCK);
  }
}

const scratch = new Float32Array(1);
const bits = new Int32Array(scratch.buffer);

// √(-2 ln u) by u = 2^e · m with m in [√½, √2) and ln m = 2 atanh((m - 1)/(m + 1)), of the 31 low bits of a word
function radius(word) {
  scratch[0] = f(f((word & 0x7fffffff) | 1) * TURN); // never ln 0
  const e = (bits[0] - SQRT_HALF) & EXPONENT;
  bits[0] -= e;
  const m = scratch[0];
  const s = f(f(m - 1) / f(m + 1));
  const z = f(s * s);
  let y = f(z * L3);
  y = f(f(y + L2) * z);
  y = f(f(y + L1) * z);
  y = f(f(f(y + L0) * s) * -4);
  return f(Math.sqrt(f(y + f(f(e) * LN2))));
}

// Pairs of words as pairs of normals: of word j of each half entries j and j + half (Box–Muller)
export function normals(drawn, half, out, start, dim) {
  for (let j = 0; j < Math.min(half, dim); j += 1) {
    const r = radius(drawn[j]);
    const x = f(f(drawn[half + j]) * TURN); // in right angles, on the right half of the circle
    const z = f(x * x);
    let y = f(z * C5);
    y = f(f(y + C4) * z);
    y = f(f(y + C3) * z);
    y = f(f(y + C2) * z);
    y = f(f(y + C1) * z);
    y = f(r * f(y + C0));
    out[start + j] = drawn[j] < 0 ? -y : y; // the sign bit reflects it to the left
    if (half + j >= dim) continue;
    y = f(z * S4);
    y = f(f(y + S3) * z);
    y = f(f(y + S2) * z);
    y = f(f(y + S1) * z);
    out[start + half + j] = f(r * f(f(y + S0) * x));
  }
}

// Rows `seeds` (N BigInts, in any order and as often as named) of the table of `dim` columns: N · dim float32.
export function latents(seeds, dim) {
  if (!Number.isInteger(dim) || dim < 1) throw new RangeError(`cannot draw latents of ${dim} values`);
  const blocks = Math.ceil(dim / PER_BLOCK);
  const drawn = new Int32Array(blocks * PER_BLOCK);
  const table = new Float32Array(seeds.length * dim);
  for (let row = 0; row < seeds.length; row += 1) {
    const seed = seeds[row];
    if (seed < 0n || seed >= SEEDS) throw new RangeError(`seeds must be from 0 to 2^63 - 1, not ${seed}`);
    words(seed, blocks, drawn);
    normals(drawn, drawn.length / 2, table, row * dim, dim);
  }
  return table;
}

// The seeds `first` … `first + count - 1`.
export function following(first, count) {
  return BigUint64Array.from({ length: count }, (_, i) => first + BigInt(i));
}
