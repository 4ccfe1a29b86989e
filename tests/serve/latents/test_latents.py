"""The latent table never changes, and its entries are standard normal."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from wgan.serve.base.errors import ConfigError
from wgan.serve.latents.table import SEEDS, box_muller, latents, latents_of

GOLDEN = "98205d1098e949e1a5af4e77b7ca1ffb99b59d563375b450d5fbb64986e5ed23"
DIGEST = """
import hashlib
import numpy as np
from wgan.serve.latents.table import latents
rows = [latents(0, 1000, 128), latents(2**63 - 10, 10, 128), latents(123456789, 100, 100)]
print(hashlib.sha256(b"".join(r.astype("<f4").tobytes() for r in rows)).hexdigest())
"""


def reference(radius, angle):
    """Box–Muller of the same bits in float64."""
    u = ((radius & 0x7FFFFFFF) | 1).astype(np.float32).astype(np.float64) / 2**31
    r = np.sqrt(-2 * np.log(u))
    theta = np.pi / 2 * angle.astype(np.float64) / 2**31
    return np.where(radius < 0, -1, 1) * r * np.cos(theta), r * np.sin(theta)


def transformed(radius, angle):
    out = np.empty((2, *radius.shape), np.float32)
    box_muller(radius, angle, out[0], out[1])
    return out


def words(count, seed=0):
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (2, 4, count), dtype=np.int32)


@pytest.fixture(scope="module")
def table():
    return latents(0, 10_000, 128)


def test_the_table_is_the_published_one():
    rows = [latents(0, 1000, 128), latents(2**63 - 10, 10, 128), latents(123456789, 100, 100)]
    digest = hashlib.sha256(b"".join(r.astype("<f4").tobytes() for r in rows)).hexdigest()
    assert digest == GOLDEN
    assert [float(v).hex() for v in latents(0, 1, 128)[0, [0, 1, 64]]] == [
        "-0x1.3d5f6a0000000p+0",
        "-0x1.1689020000000p-4",
        "0x1.1b1ef00000000p-2",
    ]
    assert float(latents(2**63 - 1, 1, 1)[0, 0]).hex() == "-0x1.24012c0000000p+1"


@pytest.mark.skipif(sys.platform != "linux", reason="numpy's CPU dispatch is steered on x86 here")
def test_the_table_does_not_depend_on_the_cpu():
    config = np.show_config(mode="dicts")["SIMD Extensions"]
    found = config.get("found", [])
    if not found:
        pytest.skip("this numpy has no dispatched features to turn off")
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    command = [sys.executable, "-W", "ignore", "-c", DIGEST]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


@pytest.mark.parametrize("dim", [1, 3, 8, 100, 128, 40_000])
def test_a_row_depends_on_its_number_and_the_dimension_alone(dim):
    whole = latents(0, 8, dim)
    assert whole.shape == (8, dim)
    assert whole.dtype == np.float32
    assert np.array_equal(latents(5, 3, dim), whole[5:])
    assert np.array_equal(np.concatenate([latents(s, 1, dim) for s in range(8)]), whole)


def test_rows_are_the_same_in_blocks_of_any_length(table):
    assert np.array_equal(latents(777, 1500, 128), table[777:2277])


def test_numpy_integers_are_seeds_too():
    assert np.array_equal(latents(np.int64(2**62), 2, 128), latents(2**62, 2, 128))


def test_no_rows_is_an_empty_table():
    assert latents(3, 0, 16).shape == (0, 16)


@pytest.mark.parametrize(
    ("first", "count", "dim"), [(-1, 1, 8), (2**63, 1, 8), (2**63 - 1, 2, 8), (0, -1, 8), (0, 1, 0)]
)
def test_rows_outside_the_table_are_refused(first, count, dim):
    assert SEEDS == 2**63
    with pytest.raises(ConfigError):
        latents(first, count, dim)


@pytest.mark.parametrize("dim", [1, 3, 8, 100, 128, 40_000])
@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_scattered_seeds_have_the_rows_of_the_table(dim, kind):
    seeds = [7, 8, 9, 2**63 - 1, 0, 0, 2**63 - 2, 2**63 - 1, 5, 4, 3, 123_456_789_012]
    rows = latents_of(np.array(seeds, kind), dim)
    assert rows.shape == (len(seeds), dim)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.concatenate([latents(seed, 1, dim) for seed in seeds]))


def test_scattered_seeds_may_be_more_than_are_transformed_at_a_time():
    seeds = np.random.default_rng(3).integers(0, 10_000, 2000)
    seeds[600:1400] = np.arange(800)
    assert np.array_equal(latents_of(seeds, 128), latents(0, 10_000, 128)[seeds])
    assert np.array_equal(latents_of(seeds[::-1], 128), latents_of(seeds, 128)[::-1])


@pytest.mark.parametrize("seeds", [np.empty(0, np.int64), np.empty(0, np.uint64), []])
def test_no_scattered_seeds_are_an_empty_table(seeds):
    assert latents_of(seeds, 12).shape == (0, 12)


@pytest.mark.parametrize(
    "seeds", [np.array([5, -1]), np.array([0, 2**63], np.uint64), np.zeros(2), np.zeros((2, 2), np.int64), np.int64(3)]
)
def test_scattered_seeds_outside_the_table_are_refused(seeds):
    with pytest.raises(ConfigError, match="seeds must be"):
        latents_of(seeds, 8)


def test_scattered_seeds_need_a_width():
    with pytest.raises(ConfigError, match="of 0 values"):
        latents_of(np.arange(2), 0)


def test_the_transform_is_box_muller_to_float32_precision():
    radius, angle = words(100_000)
    near_one = 2**31 - 1 - np.arange(50_000, dtype=np.int32).reshape(4, -1)
    for r, a in ((radius, angle), (near_one, angle[:, :12_500])):
        assert np.abs(transformed(r, a) - reference(r, a)).max() <= 2e-6


def test_the_transform_is_the_published_one_where_the_logarithm_is_split():
    # u next to √½ · 2^-s, where the power of two that is taken out of it changes
    radius = np.array([[(1518500224 + 128 * d) >> s for s in range(24)] for d in (-1, 0, 1)], np.int32)
    values = transformed(radius, np.full_like(radius, 12345678))
    digest = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    assert digest == "3785cae2292d3544a16d9dc752558e211d720f60ef787dc7ca70c18e667a8014"


def test_extreme_bits_give_finite_values():
    edges = [0, 1, 2, -1, -2, 2**31 - 1, -(2**31), -(2**31) + 1, 2**30, -(2**30), 0x7FFFFFBF, 0x7FFFFFC0]
    edges += [2**k + d for k in range(3, 31) for d in (-1, 0, 1)]
    radius, angle = np.meshgrid(np.array(edges, np.int32), np.array(edges, np.int32))
    values = transformed(radius, angle)
    assert np.isfinite(values).all()
    assert np.abs(values).max() == pytest.approx(np.sqrt(62 * np.log(2)), abs=1e-5)
    assert np.abs(values - reference(radius, angle)).max() <= 2e-6


def test_entries_follow_the_normal_distribution(table):
    values = table.ravel()[:1_000_000].astype(np.float64)
    assert stats.kstest(values, "norm").pvalue > 0.01
    n = len(values)
    assert abs(values.mean()) < 4 / np.sqrt(n)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(stats.skew(values)) < 4 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(values)) < 4 * np.sqrt(24 / n)


def test_tails_have_the_right_weight():
    values = np.abs(latents(0, 40_000, 128))
    for sigmas in (3, 4, 4.5):
        expected = 2 * stats.norm.sf(sigmas) * values.size
        assert abs(int((values > sigmas).sum()) - expected) < 4 * np.sqrt(expected)
    assert values.max() > 4.8


def test_entries_are_independent_of_each_other(table):
    def correlation(a, b):
        return abs(np.mean(a.astype(np.float64) * b)) * np.sqrt(a.size)

    for power in (1, 2):  # squares reveal a shared radius
        x = table**power - (power == 2)
        scale = power  # the variance of x² - 1 is 2
        assert correlation(x[:, :-1], x[:, 1:]) / scale < 4  # neighbours
        assert correlation(x[:-1], x[1:]) / scale < 4  # rows
        assert correlation(x[:, :64], x[:, 64:]) / scale < 4  # the two normals of a pair


def test_every_column_is_standard_normal(table):
    n = len(table)
    assert np.abs(table.mean(axis=0)).max() < 5 / np.sqrt(n)
    assert np.abs(table.var(axis=0) - 1).max() < 5 * np.sqrt(2 / n)
