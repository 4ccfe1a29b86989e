"""Truncated latents: images have less variety and are nearer to the typical one. There are two kinds.

``truncated``: every entry is from the normal distribution cut off at ±T. Brock et al. 2019, "Large scale GAN
training for high fidelity natural image synthesis", section 3.1 (the truncation trick), draw again what is above
a threshold, which takes a varying number of draws. Here an entry x of the latent table is mapped to the entry
of the same rank, which has the same distribution:

    g(x) = Φ⁻¹(Φ(-T) + Φ(x) · (Φ(T) - Φ(-T)))

It is odd and rising, and the nearer to x itself the larger T is: a seed's image stays recognisable.

``scaled``: z · T. It is the scaling towards the mean of Karras et al. 2019, "A style-based generator architecture
for generative adversarial networks", appendix B (ψ), for a latent space whose mean is zero.

Nothing here calls the machine's exp or erf, which differ in the last bit: g is computed at 211 points in
`decimal`, whose results are the same everywhere, and between them by a cubic in operations that IEEE 754 rounds
in one way, as in `latents`. Within 1e-6 of g in float64.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import ConfigError
from wgan.serve.latents.table import Float

KINDS = ("truncated", "scaled")
LOWEST, HIGHEST = 0.001, 10.0

_LARGEST = Decimal("6.5625")  # no entry of the table is larger
_STEPS = 32  # intervals in a unit of x
_DIGITS = 36
_ROWS = 65536  # entries mapped at a time: their buffers stay in the cache


@dataclass(frozen=True)
class Truncation:
    """What is done to every entry of the latent table. Raises ConfigError where a field is not as above."""

    threshold: float
    kind: str = KINDS[0]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"--truncation-kind {self.kind} is not one of {', '.join(KINDS)}")
        if not LOWEST <= self.threshold <= HIGHEST:  # NaN neither
            raise ConfigError(f"--truncation {self.threshold:g} is outside its range, {LOWEST:g} to {HIGHEST:g}")

    def __str__(self) -> str:
        return f"{self.kind} {self.threshold!r}"

    def __call__(self, z: Float) -> Float:
        """The truncated latents, float32 (N, Z), of the table's (N, Z)."""
        if self.kind == "scaled":
            return np.multiply(z, np.float32(self.threshold))
        out = np.empty_like(z)
        flat, result = z.reshape(-1), out.reshape(-1)
        for start in range(0, len(flat), _ROWS):
            _map(flat[start : start + _ROWS], self.threshold, result[start : start + _ROWS])
        return out


def _map(x: Float, threshold: float, out: Float) -> None:
    """g of float32 (M,)."""
    cubics = _cubics(threshold)
    t = np.abs(x)
    np.multiply(t, np.float32(_STEPS), out=t)
    index = t.astype(np.intp)  # the interval; there is one for every entry of the table
    np.subtract(t, index.astype(np.float32), out=t)  # where in it, 0 to 1
    y = np.take(cubics[3], index)
    for coefficients in cubics[2::-1]:
        np.multiply(y, t, out=y)
        np.add(y, np.take(coefficients, index), out=y)
    np.minimum(y, np.float32(threshold), out=y)  # the last rounding may have gone over it
    np.copysign(y, x, out=out)


@lru_cache(maxsize=128)  # a server is asked for any number of thresholds
def _cubics(threshold: float) -> NDArray[np.float32]:
    """Hermite's cubic on each interval, constant terms first: float32 (4, intervals).

    A value of g solves Φ(y) = Φ(x) · c + …, by Newton from the value before it, and its slope is c φ(x) / φ(y).
    """
    with localcontext() as context:
        context.prec = _DIGITS
        share = _erf(Decimal(threshold))
        step = Decimal(1) / _STEPS
        values, slopes = [Decimal(0)], [share]
        for i in range(1, int(_LARGEST * _STEPS) + 1):
            x, y = i * step, values[-1]
            wanted = share * _erf(x)
            for _ in range(100):
                change = (_erf(y) - wanted) / _slope(y)
                y -= change
                if abs(change) < Decimal("1e-15"):
                    break
            values.append(y)
            slopes.append(share * _slope(x) / _slope(y))
        points = list(zip(values, (slope * step for slope in slopes), strict=True))
        rows = [
            [float(c) for c in (a, p, 3 * (b - a) - 2 * p - q, 2 * (a - b) + p + q)]
            for (a, p), (b, q) in pairwise(points)
        ]
    return np.ascontiguousarray(np.array(rows).T, dtype=np.float32)


def _slope(x: Decimal) -> Decimal:
    """The derivative of `_erf`."""
    return _scale() * (-x * x / 2).exp()


def _erf(x: Decimal) -> Decimal:
    """erf(x/√2), the share of the standard normal within ±x: φ(x) · 2 (x + x³/3 + x⁵/(3·5) + …)."""
    term, total, n = x, x, 1
    while term > total * Decimal("1e-30"):
        n += 2
        term = term * x * x / n
        total += term
    return _slope(x) * total


def _scale() -> Decimal:
    return Decimal("0.797884560802865355879892119868763736951717")  # √(2/π)
