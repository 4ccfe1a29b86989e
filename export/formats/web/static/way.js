// The way from one latent to another: `slerp` of serve/latents/sources.py, where its source is named.
//
// Its sums are exact and its float64 operations the same. acos and sin are the browser's: V8's differ from glibc's in
// the last bit of float64 for 8 and 3 of 100 arguments. A float32 value that comes of them could be another one only by
// its last bit, which no pixel shows; of two million values none was.

const PARALLEL = 1e-6; // the sine of an angle below which there is no plane to turn in

// The sum of float64 values, rounded once, a half to even: Shewchuk 1997, "Adaptive precision floating-point
// arithmetic and fast robust geometric predicates", as Python's math.fsum does it.
export function fsum(values) {
  const partials = []; // that do not overlap, the smallest first; their sum is exact
  for (let x of values) {
    let kept = 0;
    for (let y of partials) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low) partials[kept++] = low;
      x = high;
    }
    partials.length = kept;
    partials.push(x);
  }
  let n = partials.length - 1;
  let high = n < 0 ? 0 : partials[n];
  let low = 0;
  while (n > 0 && !low) {
    const x = high;
    n -= 1;
    high = x + partials[n];
    low = partials[n] - (high - x);
  }
  // half way between two numbers, and more behind it
  if (n > 0 && (low < 0) === (partials[n - 1] < 0)) {
    const x = high + 2 * low;
    if (2 * low === x - high) high = x;
  }
  return high;
}

const dot = (a, b) => fsum(Array.from(a, (x, i) => x * b[i]));

// Spherical interpolation of two Float32Arrays, exact at t = 0 and 1, into `out`.
export function slerp(a, b, t, out) {
  if (t === 0 || t === 1) {
    out.set(t ? b : a);
    return;
  }
  const norms = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  const angle = Math.acos(norms ? Math.max(-1, Math.min(1, dot(a, b) / norms)) : 1);
  let [p, q] = [1 - t, t]; // the way is straight where there is no plane
  if (Math.sin(angle) >= PARALLEL) {
    [p, q] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  }
  for (let i = 0; i < out.length; i += 1) out[i] = p * a[i] + q * b[i]; // the array rounds
}

// `steps` latents from `a` to `b`, both included: steps · Z float32.
export function between(a, b, steps) {
  if (!Number.isInteger(steps) || steps < 2) throw new RangeError(`a way has at least 2 steps, not ${steps}`);
  const way = new Float32Array(steps * a.length);
  for (let k = 0; k < steps; k += 1) {
    slerp(a, b, k / (steps - 1), way.subarray(k * a.length, (k + 1) * a.length));
  }
  return way;
}
