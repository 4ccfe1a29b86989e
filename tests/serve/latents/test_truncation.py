"""Truncated latents have the distribution they are named after, and a seed stays the seed it was."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import special, stats

from wgan.serve.base.errors import ConfigError
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import KINDS, Truncation

GOLDEN = "1983152fa928df19615d732d8ef79c3a8b2fee96bdb57dae4fbd6e7ad581225c"
DIGEST = """
import hashlib
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation
parts = [Truncation(t)(latents(0, 500, 100)).astype("<f4").tobytes() for t in (0.5, 2.0, 5.0)]
print(hashlib.sha256(b"".join(parts)).hexdigest())
"""


def exact(x, threshold):
    """g in float64, by the tail where that is more exact."""
    x = np.abs(x.astype(np.float64))
    tail = 2 * stats.norm.sf(threshold)
    outside = tail + (1 - tail) * 2 * stats.norm.sf(x)
    inside = special.erf(threshold / np.sqrt(2)) * special.erf(x / np.sqrt(2))
    return np.where(outside < 0.5, stats.norm.isf(outside / 2), np.sqrt(2) * special.erfinv(inside))


@pytest.mark.parametrize("threshold", [0.001, 0.5, 1, 2, 3.5, 5, 6.5, 10])
def test_the_map_is_the_quantile_of_the_same_rank(threshold):
    x = np.linspace(-6.5562, 6.5562, 50_001, dtype=np.float32)[None]
    y = Truncation(threshold)(x)
    assert y.dtype == np.float32
    assert np.abs(np.abs(y) - exact(x, threshold)).max() < 1e-6
    assert np.array_equal(np.signbit(y), np.signbit(x))
    assert np.diff(y[0]).min() > -1e-6
    assert np.abs(y).max() <= np.float32(threshold)


@pytest.mark.parametrize("threshold", [0.5, 1.5])
def test_entries_follow_the_truncated_normal_distribution(threshold):
    values = Truncation(threshold)(latents(0, 1000, 128)).ravel().astype(np.float64)
    assert stats.kstest(values, stats.truncnorm(-threshold, threshold).cdf).pvalue > 0.01


def test_a_large_threshold_leaves_the_latents_almost_as_they_are():
    z = latents(0, 1000, 64)
    assert np.abs(Truncation(10)(z) - z).max() < 1e-6


def test_scaled_is_the_product():
    z = latents(3, 50, 16)
    assert np.array_equal(Truncation(0.7, "scaled")(z), z * np.float32(0.7))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(kind):
    cut = Truncation(0.7, kind)
    whole = cut(latents(0, 1000, 100))  # more than is mapped at a time
    assert np.array_equal(cut(latents(700, 1, 100))[0], whole[700])


def test_the_truncated_table_is_the_published_one():
    parts = [Truncation(t)(latents(0, 500, 100)).astype("<f4").tobytes() for t in (0.5, 2.0, 5.0)]
    assert hashlib.sha256(b"".join(parts)).hexdigest() == GOLDEN


@pytest.mark.skipif(sys.platform != "linux", reason="numpy's CPU dispatch is steered on x86 here")
def test_the_truncated_table_does_not_depend_on_the_cpu():
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("this numpy has no dispatched features to turn off")
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    command = [sys.executable, "-W", "ignore", "-c", DIGEST]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf"), 11])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ConfigError, match="outside its range"):
        Truncation(threshold)


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ConfigError, match="truncated, scaled"):
        Truncation(0.7, "clipped")


def test_a_truncation_is_told_by_its_kind_and_threshold():
    assert str(Truncation(0.7)) == "truncated 0.7"
    assert str(Truncation(1.25, "scaled")) == "scaled 1.25"


@pytest.mark.parametrize("threshold", [0.001, 10.0])
def test_the_ends_of_the_range_are_in_it(threshold):
    assert np.abs(Truncation(threshold)(latents(0, 4, 8))).max() <= threshold
