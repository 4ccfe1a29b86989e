"""Latents of a file are checked whole and told apart by all of their values; the way between two seeds is even."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from wgan.serve.base.errors import ConfigError
from wgan.serve.latents.sources import between, from_file, slerp
from wgan.serve.latents.table import latents

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


def test_slerp_keeps_its_length_and_turns_evenly() -> None:
    a, b = (z / np.linalg.norm(z) for z in latents(0, 2, 128))
    steps = np.stack([slerp(a, b, k / 10) for k in range(11)])
    assert np.allclose(np.linalg.norm(steps, axis=1), 1, atol=1e-6)
    angles = np.arccos(np.sum(steps[1:] * steps[:-1], axis=1, dtype=np.float64))
    assert np.allclose(angles, np.arccos(np.dot(a, b)) / 10, atol=1e-4)
    # a quarter of an angle, by hand: of a right one, and of one of 60 degrees
    x, y = np.array([2, 0], np.float32), np.array([0, 3], np.float32)
    assert np.allclose(slerp(x, y, 0.25), [2 * np.cos(np.pi / 8), 3 * np.sin(np.pi / 8)])
    y = np.array([1.5, 1.5 * np.sqrt(3)], np.float32)
    assert np.allclose(slerp(x, y, 0.25), (np.sin(np.pi / 4) * x + np.sin(np.pi / 12) * y) / np.sin(np.pi / 3))


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_vectors_without_a_plane_are_joined_by_a_line(b: list[float]) -> None:
    x, y = np.array([1, 0], np.float32), np.array(b, np.float32)
    assert np.allclose(slerp(x, y, 0.25), 0.75 * x + 0.25 * y)


def test_the_way_from_a_seed_to_itself_stands_still() -> None:
    way = between(16, 5, 5, 4, None)
    assert np.abs(way.rows(0, 4) - latents(5, 1, 16)).max() < 1e-6


@pytest.mark.parametrize("times", [2, -1])
def test_a_cosine_that_rounding_takes_past_1_is_1(times: int) -> None:
    for z in latents(0, 200, 16):
        assert np.allclose(slerp(z, times * z, 0.5), (1 + times) / 2 * z, atol=1e-5)
