"""Where latents come from: the table's rows, a file's, or the way from one seed to another."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from textwrap import shorten

import numpy as np

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.foreign_array import reading_array
from wgan.serve.base.streams import is_stream
from wgan.serve.base.terminal import counted
from wgan.serve.latents.table import Float, Rows, latents
from wgan.serve.latents.truncation import Truncation

_CHUNK = 2**20  # values checked at a time
_MAGIC = b"\x93NUMPY"  # how a .npy file begins
_PARALLEL = 1e-6  # the sine of an angle below which there is no plane to turn in


@dataclass(frozen=True)
class Source:
    """The latents ``first`` … ``first + count - 1`` of one kind, ready for `sampler.sample`."""

    rows: Rows
    first: int
    count: int
    unit: str = "seed"  # what is numbered: a seed, a row of a file, or a frame
    facts: Mapping[str, str] = field(default_factory=dict)  # what else its images depend on


def from_table(dim: int, first: int, count: int, truncation: Truncation | None) -> Source:
    """Rows of the latent table, truncated if asked for."""
    return Source(_rows_of_table(dim, truncation), first, count, facts=_facts(truncation))


def from_file(path: Path, dim: int, count: int | None) -> Source:
    """The first ``count`` rows, or all, of a .npy file that `open_file` takes.

    Raises:
        ConfigError: as `open_file`; rows that are not of ``dim`` finite values; fewer than ``count``.
    """
    table = open_file(path)
    if table.shape[1] != dim:
        values = counted(table.shape[1], "value")
        raise ConfigError(f"--latents {path}: its rows have {values}, this generator takes {dim}")
    count = len(table) if count is None else count
    if count > len(table):
        raise ConfigError(f"-n {count} is more than the {counted(len(table), 'row')} of --latents {path}")

    def rows(first: int, wanted: int) -> Float:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused
            return np.ascontiguousarray(table[first : first + wanted], dtype=np.float32)

    # All of it now: an hour's work must not end at a NaN.
    digest = hashlib.sha256(repr((count, dim)).encode())
    step = max(1, _CHUNK // dim)
    for first in range(0, count, step):
        part = rows(first, min(step, count - first))
        if not (finite := np.isfinite(part).all(axis=1)).all():
            row = first + int(np.argmin(finite))
            raise ConfigError(f"--latents {path}: row {row} has a value that is NaN or infinite in float32")
        digest.update(part.astype("<f4", copy=False).data)
    return Source(rows, 0, count, "row", {"latents": digest.hexdigest()})


def open_file(path: Path) -> np.ndarray:
    """The (N, Z) array of a .npy file: float16, float32 or float64, never unpickled.

    It is mapped into memory; of a pipe, which can be read once alone, all of it is read.

    Raises:
        ConfigError: no such file, or not such an array.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
            if start != _MAGIC:
                raise ConfigError(f"--latents {path} is not a .npy file: write one with numpy.save")
            with reading_array():
                if is_stream(path):  # a pipe, which is not to be mapped
                    table = np.load(BytesIO(start + file.read()), allow_pickle=False)
                else:
                    table = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise ConfigError(f"--latents {path}: {error.strerror or error}; name a .npy file") from None
    except ValueError as error:
        reason = shorten(str(error), 200, placeholder=" …")
        raise ConfigError(f"--latents {path} cannot be read: {reason}; write it with numpy.save") from None
    if table.dtype.kind != "f" or table.dtype.itemsize > 8 or table.ndim != 2 or 0 in table.shape:
        raise ConfigError(
            f"--latents {path}: {table.dtype} {table.shape} is not a filled array (N, Z) of float16, float32 or float64"
        )
    return table  # type: ignore[no-any-return]


def in_memory(source: Source) -> Source:
    """The same latents, float32 (N, Z), without the file that they came from: to be sent to another machine."""
    first, table = source.first, source.rows(source.first, source.count)

    def rows(start: int, wanted: int) -> Float:
        return table[start - first : start - first + wanted]

    return replace(source, rows=rows)


def between(dim: int, a: int, b: int, steps: int, truncation: Truncation | None) -> Source:
    """``steps`` latents from seed ``a`` to seed ``b``, both included, by `slerp`."""
    of = _rows_of_table(dim, truncation)
    start, end = of(a, 1)[0], of(b, 1)[0]

    def rows(first: int, count: int) -> Float:
        return np.stack([slerp(start, end, k / (steps - 1)) for k in range(first, first + count)])

    return Source(rows, 0, steps, "frame", {"interpolate": f"{a} {b}"} | _facts(truncation))


def slerp(a: Float, b: Float, t: float) -> Float:
    """Spherical interpolation of float32 (Z,), exact at t = 0 and 1.

    sin((1-t)ω)/sin ω · a + sin(tω)/sin ω · b, with ω the angle between them: Shoemake 1985, "Animating
    rotation with quaternion curves", section 3.3, used for latents as by White 2016, "Sampling generative
    networks", section 2.1: the middle of a straight line is nearer to the origin than any sample of a normal
    distribution would be. Parallel and opposite vectors have no plane to turn in: the way is straight.
    """
    if t in (0, 1):
        return b if t else a
    x, y = a.astype(np.float64), b.astype(np.float64)
    # summed exactly: numpy's sums depend on the CPU
    norms = math.sqrt(math.fsum(x * x)) * math.sqrt(math.fsum(y * y))
    cosine = max(-1.0, min(1.0, math.fsum(x * y) / norms)) if norms else 1.0
    angle = math.acos(cosine)
    if math.sin(angle) < _PARALLEL:
        weights = 1 - t, t
    else:
        weights = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
    return (weights[0] * x + weights[1] * y).astype(np.float32)


def _rows_of_table(dim: int, truncation: Truncation | None) -> Rows:
    def rows(first: int, count: int) -> Float:
        z = latents(first, count, dim)
        return z if truncation is None else truncation(z)

    return rows


def _facts(truncation: Truncation | None) -> dict[str, str]:
    return {} if truncation is None else {"truncation": str(truncation)}
