"""Latents of a file are checked whole before the first image is made, and are told apart by all of their values."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from wgan.serve.base.errors import ConfigError
from wgan.serve.latents.sources import from_file

WIDE = 2**19  # two rows of it are checked at a time


def saved(folder: Path, z: np.ndarray) -> Path:
    np.save(folder / "z.npy", z)
    return folder / "z.npy"


@pytest.mark.parametrize("row", [0, 1, 2, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_named_wherever_it_is(tmp_path: Path, row: int, value: float) -> None:
    z = np.zeros((5, WIDE), np.float32)
    z[row, -1] = value
    with pytest.raises(ConfigError, match=f"row {row} has a value that is NaN or infinite"):
        from_file(saved(tmp_path, z), WIDE, None)


def test_rows_that_are_not_asked_for_are_not_looked_at(tmp_path: Path) -> None:
    z = np.zeros((3, 4), np.float64)
    z[2, 0] = np.nan
    source = from_file(saved(tmp_path, z), 4, 2)
    assert (source.first, source.count, source.unit) == (0, 2, "row")


@pytest.mark.parametrize("shape", [(7, 3), (5, WIDE), (1, 2 * WIDE + 1)])
def test_the_digest_is_of_the_shape_and_of_every_value(tmp_path: Path, shape: tuple[int, int]) -> None:
    z = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) / 8
    source = from_file(saved(tmp_path, z), shape[1], None)
    wanted = hashlib.sha256(repr(shape).encode() + z.astype("<f4").tobytes()).hexdigest()
    assert source.facts == {"latents": wanted}
    assert np.array_equal(source.rows(0, 1), z[:1].astype(np.float32))
