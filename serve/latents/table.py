"""The latent table: row s is the latent of seed s, on every machine.

Think of one infinite fixed table for each latent dimension, its rows numbered 0 … 2^63 - 1 and its entries
standard normal. A seed is a row number, and any rows can be read without the ones before them:

- A row of Z values has Z rounded up to a multiple of 8 entries, and takes Z/8 whole blocks of numpy's
  Philox 4x64 generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") under a fixed
  key; row s starts at block s·Z/8. A row is Z/2 words of 64 bits, seen as Z words of 32.
- Word j of its first half gives a radius and a reflection, word j of its second half an angle. Box–Muller
  makes two normals of them: entry j and entry j + Z/2.

Nothing here calls log, sin or cos: numpy's differ in the last bit from one CPU to the next. Only operations
that IEEE 754 rounds in one way are used (+ - · / √, casts, bits), each a numpy call of its own so that no
compiler can fuse two. The table is therefore the same bit for bit everywhere, and a test holds its digest.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import ConfigError

Float = NDArray[np.float32]
Int = NDArray[np.int32]
Words = NDArray[np.uint64]
Seeds = NDArray[np.integer[Any]]
Rows = Callable[[int, int], Float]  # (first, count): float32 (count, Z), the latents of these numbers

SEEDS = 2**63  # rows in the table
_KEY = 0x7767616E  # "wgan"
_PER_BLOCK = 8  # normals in a Philox block: four 64-bit words of two
_PAIRS = 16384  # pairs transformed at a time: measured, buffers of 64 KiB that stay in the L2 cache

_f = np.float32
_i = np.int32
_SIGN = _i(-(2**31))
_EXPONENT = _i(-(2**23))  # mask of the sign and exponent bits of a float32
_SQRT_HALF = _i(0x3F3504F3)  # the bits of float32(√½)
# Least-maximum-error polynomials, constant term first: atanh(√z)/√z to z = 0.0295 (error 7e-10),
# sin(π/2 √z)/√z and cos(π/2 √z) to z = 1 (errors 3e-9 and 4e-10).
_ATANH = (_f(1.0), _f(0.3333340883255005), _f(0.19987352192401886), _f(0.14963959157466888))
_SIN = (
    _f(1.570796251296997),
    _f(-0.6459633708000183),
    _f(0.07968848198652267),
    _f(-0.004672227893024683),
    _f(0.00015082056052051485),
)
_COS = (
    _f(1.0),
    _f(-1.2337005138397217),
    _f(0.25366926193237305),
    _f(-0.020862532779574394),
    _f(0.0009175466257147491),
    _f(-2.375410622335039e-05),
)


def latents(first: int, count: int, dim: int) -> Float:
    """Rows ``first`` … ``first + count - 1`` of the table of ``dim`` columns: float32 (count, dim).

    A row depends on its number and on ``dim`` alone, so ``latents(5, 3, dim)`` equals
    ``latents(0, 8, dim)[5:]`` bit for bit. Raises ConfigError for a row outside 0 … 2^63 - 1.
    """
    first = int(first)  # a numpy integer would overflow below
    if first < 0 or first + count > SEEDS:
        raise ConfigError(f"seeds must be from 0 to 2^63 - 1, not {first} … {first + count - 1}")
    if count < 0 or dim < 1:
        raise ConfigError(f"cannot draw {count} latents of {dim} values")
    stream = np.random.Philox(key=_KEY, counter=first * _blocks(dim))
    return _table(count, dim, lambda _, words: stream.random_raw(words))


def latents_of(seeds: Seeds, dim: int) -> Float:
    """Rows ``seeds`` (N,) of the table, in any order and as often as named: float32 (N, dim).

    The same bits as ``latents(seed, 1, dim)`` of each. Seeds that follow one another are drawn at once.
    Raises ConfigError for anything but a row of integers from 0 to 2^63 - 1.
    """
    seeds = np.asarray(seeds)
    if seeds.ndim != 1 or (seeds.size and seeds.dtype.kind not in "iu"):
        raise ConfigError(f"seeds must be a row of integers, not {seeds.dtype} {seeds.shape}")
    if dim < 1:
        raise ConfigError(f"cannot draw {len(seeds)} latents of {dim} values")
    for seed in (int(seeds.min()), int(seeds.max())) if seeds.size else ():
        if not 0 <= seed < SEEDS:
            raise ConfigError(f"seeds must be from 0 to 2^63 - 1, not {seed}")
    rows = seeds.astype(np.int64)
    blocks = _blocks(dim)
    words_in_row = blocks * _PER_BLOCK // 2
    stream = np.random.Philox(key=_KEY, counter=0)
    at = 0  # the block that the stream gives next

    def draw(start: int, words: int) -> Words:
        nonlocal at
        part = rows[start : start + words // words_in_row]
        breaks = np.flatnonzero(part[1:] != part[:-1] + 1) + 1
        drawn = np.empty(words, np.uint64)
        for head, end in pairwise([0, *breaks.tolist(), len(part)]):
            seed = int(part[head])
            stream.advance(seed * blocks - at)  # a new stream would take four times as long
            drawn[head * words_in_row : end * words_in_row] = stream.random_raw((end - head) * words_in_row)
            at = (seed + end - head) * blocks
        return drawn

    return _table(len(rows), dim, draw)


def _blocks(dim: int) -> int:
    return -(-dim // _PER_BLOCK)


def _table(count: int, dim: int, draw: Callable[[int, int], Words]) -> Float:
    """The rows, float32 (count, dim), of words that ``draw(row, count)`` gives: so many from the start of a row."""
    width = _blocks(dim) * _PER_BLOCK // 2  # pairs in a row
    table = np.empty((count, 2 * width), np.float32)
    step = max(1, _PAIRS // width)
    for start in range(0, count, step):
        rows = table[start : start + step]
        words = draw(start, len(rows) * width).astype("<u8", copy=False)  # low half first on any CPU
        bits = words.view("<i4").astype(np.int32, copy=False).reshape(len(rows), 2 * width)
        box_muller(bits[:, :width], bits[:, width:], rows[:, :width], rows[:, width:])
    return table if dim == 2 * width else np.ascontiguousarray(table[:, :dim])


def box_muller(radius: Int, angle: Int, out_cos: Float, out_sin: Float) -> None:
    """Turn pairs of random words, int32 (R, P) each, into pairs of standard normals, float32 (R, P) each.

    r = √(-2 ln u) with u = (k | 1) / 2^31, rounded to float32, of the 31 low bits k of ``radius``: r goes up
    to 6.56. The angle is π/2 · ``angle`` / 2^31, on the right half of the circle; the sign bit of ``radius``
    reflects it to the left. Within 2e-6 of the same formula in float64; never NaN or infinite.
    """
    r = _radius(radius)
    x = angle.astype(np.float32)
    np.multiply(x, _f(2.0**-31), out=x)
    z = np.multiply(x, x)
    y = _polynomial(z, _SIN)
    np.multiply(y, x, out=y)
    np.multiply(r, y, out=out_sin)

    y = _polynomial(z, _COS, out=y)
    np.multiply(r, y, out=x)
    reflect = np.bitwise_and(radius, _SIGN)
    np.bitwise_xor(x.view(np.int32), reflect, out=out_cos.view(np.int32))


def _radius(words: Int) -> Float:
    """√(-2 ln u), float32 (R, P), by u = 2^e · m with m in [√½, √2) and ln m = 2 atanh((m - 1)/(m + 1))."""
    k = np.bitwise_and(words, _i(0x7FFFFFFF))
    np.bitwise_or(k, _i(1), out=k)  # never ln 0
    u = k.astype(np.float32)
    np.multiply(u, _f(2.0**-31), out=u)

    bits = u.view(np.int32)
    e = np.subtract(bits, _SQRT_HALF, out=k)
    np.bitwise_and(e, _EXPONENT, out=e)  # e · 2^23
    np.subtract(bits, e, out=bits)  # u is m now
    denominator = np.add(u, _f(1))
    s = np.subtract(u, _f(1), out=u)
    np.divide(s, denominator, out=s)

    square = np.multiply(s, s, out=denominator)
    log = _polynomial(square, _ATANH)
    np.multiply(log, s, out=log)
    np.multiply(log, _f(-4), out=log)  # -2 ln m
    scaled = e.astype(np.float32)
    np.multiply(scaled, _f(-1.3862943611198906 * 2.0**-23), out=scaled)  # -2 ln 2^e
    np.add(log, scaled, out=log)
    return np.sqrt(log, out=log)


def _polynomial(z: Float, coefficients: tuple[np.float32, ...], out: Float | None = None) -> Float:
    """Horner's rule on float32 ``z``, a multiplication and an addition at a time."""
    y = np.multiply(z, coefficients[-1], out=out)
    for c in coefficients[-2:0:-1]:
        np.add(y, c, out=y)
        np.multiply(y, z, out=y)
    return np.add(y, coefficients[0], out=y)
