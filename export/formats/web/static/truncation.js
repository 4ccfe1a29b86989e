// Truncated latents, with the bits of serve/latents/truncation.py, where both kinds are described.
//
// g at 211 points is computed in whole numbers of 2^-160. The coefficients, rounded to float64 and then to float32, are
// those that `decimal` gives there. Only where a threshold is nearly no truncation (above 8) may those of the second
// and third degree have other digits: they lie below 1e-14 and vanish beside those of the first.

export const KINDS = ["truncated", "scaled"];
export const [LOWEST, HIGHEST] = [0.001, 10];

const f = Math.fround;
const STEPS = 32; // intervals in a unit of x
const INTERVALS = 6.5625 * STEPS; // no entry of the table is larger
const KEPT = 16; // thresholds whose cubics are remembered

const DIGITS = 160n; // binary ones after the point
const ONE = 1n << DIGITS;
const SCALE = (797884560802865355879892119868763736951717n << DIGITS) / 10n ** 42n; // √(2/π)
const PRECISE = ONE >> 90n; // Newton's next step would be below the last digit that counts
const times = (x, y) => (x * y) >> DIGITS;
const over = (x, y) => (x << DIGITS) / y;

// erf(x/√2), the share of the standard normal within ±x, and its derivative. Both series have positive terms alone:
// erf is φ(x) · 2 (x + x³/3 + x⁵/(3·5) + …), and φ's exponential one over that of x²/2.
function erf(x) {
  const square = times(x, x);
  let [term, total] = [x, x];
  for (let n = 3n; term; n += 2n) {
    term = times(term, square) / n;
    total += term;
  }
  let exponential = ONE;
  term = ONE;
  for (let n = 2n; term; n += 2n) {
    term = times(term, square) / n;
    exponential += term;
  }
  return { value: times(SCALE, over(total, exponential)), slope: over(SCALE, exponential) };
}

// The values of g and its slopes, times the length of an interval, at the ends of the intervals. A value y solves
// erf(y) = share · erf(x), by Newton from where the slope before it leads.
function* points(threshold) {
  const share = erf(BigInt(threshold * 2 ** 62) << (DIGITS - 62n)).value; // no digit is lost
  const steps = BigInt(STEPS);
  let [y, p] = [0n, share / steps];
  yield [y, p];
  for (let i = 1n; i <= INTERVALS; i += 1n) {
    const at = erf((i * ONE) / steps);
    const wanted = times(share, at.value);
    y += p;
    for (;;) {
      const { value, slope } = erf(y);
      const change = over(value - wanted, slope);
      y -= change;
      if (change < PRECISE && change > -PRECISE) break;
    }
    p = over(times(share, at.slope), erf(y).slope) / steps;
    yield [y, p];
  }
}

// Hermite's cubic on each interval: four Float32Arrays, the constant terms first.
export function cubics(threshold) {
  const found = Array.from({ length: 4 }, () => new Float32Array(INTERVALS));
  const rounded = (x) => Number(x) * 2 ** -Number(DIGITS); // to float64, once; the array rounds again
  let before = null;
  let index = 0;
  for (const [b, q] of points(threshold)) {
    if (before !== null) {
      const [a, p] = before;
      [a, p, 3n * (b - a) - 2n * p - q, 2n * (a - b) + p + q].forEach((c, i) => {
        found[i][index] = rounded(c);
      });
      index += 1;
    }
    before = [b, q];
  }
  return found;
}

const kept = new Map();

function remembered(threshold) {
  if (!kept.has(threshold)) {
    if (kept.size === KEPT) kept.delete(kept.keys().next().value);
    kept.set(threshold, cubics(threshold));
  }
  return kept.get(threshold);
}

// Truncates entries of the latent table, a Float32Array, where they lie, and returns them.
export function truncate(z, threshold, kind) {
  if (!KINDS.includes(kind)) throw new RangeError(`a truncation is truncated or scaled, not ${kind}`);
  if (!(threshold >= LOWEST && threshold <= HIGHEST)) {
    throw new RangeError(`a truncation is a number from ${LOWEST} to ${HIGHEST}, not ${threshold}`);
  }
  const most = f(threshold);
  if (kind === "scaled") {
    for (let i = 0; i < z.length; i += 1) z[i] *= most; // the array rounds
    return z;
  }
  const [c0, c1, c2, c3] = remembered(threshold);
  for (let i = 0; i < z.length; i += 1) {
    const x = Math.abs(z[i]) * STEPS;
    const index = Math.trunc(x); // the interval; there is one for every entry of the table
    const t = f(x - index); // where in it, 0 to 1
    let y = f(f(c3[index] * t) + c2[index]);
    y = f(f(y * t) + c1[index]);
    y = f(f(y * t) + c0[index]);
    y = Math.min(y, most); // the last rounding may have gone over it
    z[i] = z[i] < 0 || Object.is(z[i], -0) ? -y : y;
  }
  return z;
}
