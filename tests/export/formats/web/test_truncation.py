"""A truncated seed in the browser has the bits that it has everywhere."""

import json
import math

import numpy as np
import pytest

from tests.export.formats.web.node import Node
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import (
    Truncation,
    _cubics,  # what must not differ
)

LARGEST = np.float32(6.5625)

TRUNCATED = """
    import { truncate } from "./truncation.js";
    const z = new Float32Array(taken);
    for (const threshold of %s) give(truncate(z.slice(), threshold, "%s"));
"""


# the bounds, numbers with many digits and few
FEW = [0.001, 10.0, 0.7, 1 / 3, 1.0, 2.0, 6.5625, math.nextafter(10, 0), math.nextafter(0.001, 1), 0.1 + 0.2]


def many() -> list[float]:
    """Evenly spread, and evenly in their logarithm."""
    rng = np.random.default_rng(0)
    spread = [*rng.uniform(0.001, 10, 50), *np.exp(rng.uniform(*np.log([0.001, 10]), 50))]
    return [float(value) for value in spread]


WANTED = [pytest.param(FEW, id="few"), pytest.param(many(), id="many", marks=pytest.mark.slow)]


def entries() -> np.ndarray:
    """Of the table, and what is at or beside the ends of the intervals; both zeros."""
    ends = np.arange(210, dtype=np.float32) / np.float32(32)
    beside = np.nextafter(ends, np.float32(0)), np.nextafter(ends, LARGEST), np.nextafter(LARGEST, np.float32(0))
    positive = np.concatenate([ends, *map(np.atleast_1d, beside)])
    return np.concatenate([positive, -positive, latents(2**40, 400, 100).ravel()])


@pytest.mark.parametrize("kind", ["truncated", "scaled"])
@pytest.mark.parametrize("wanted", WANTED)
def test_entries_have_the_bits_of_serve(node: Node, kind: str, wanted: list[float]):
    z = entries()
    found = node.array(TRUNCATED % (json.dumps(wanted), kind), z).reshape(len(wanted), -1)
    for threshold, row in zip(wanted, found, strict=True):
        expected = Truncation(threshold, kind)(z[None])[0]
        assert np.array_equal(row.view(np.int32), expected.view(np.int32)), threshold


@pytest.mark.parametrize("wanted", WANTED)
def test_coefficients_are_those_of_decimal(node: Node, wanted: list[float]):
    script = """
        import { cubics } from "./truncation.js";
        for (const threshold of %s) cubics(threshold).forEach(give);
    """
    found = node.array(script % json.dumps(wanted)).reshape(len(wanted), 4, -1)
    for threshold, rows in zip(wanted, found, strict=True):
        expected = _cubics(threshold)
        differ = rows.view(np.int32) != expected.view(np.int32)
        assert threshold > 8 or not differ.any(), threshold
        assert np.abs(expected[differ]).max(initial=0) < 1e-14  # beside a first degree of 1/32


@pytest.mark.parametrize(
    ("threshold", "kind"), [("0.0009", "truncated"), ("10.1", "scaled"), ("NaN", "truncated"), ("1", "cut")]
)
def test_no_other_truncation_is_taken(node: Node, threshold: str, kind: str):
    script = f"""
        import {{ truncate }} from "./truncation.js";
        try {{ truncate(new Float32Array(1), {threshold}, "{kind}"); }} catch (error) {{ console.log(error.message); }}
    """
    assert node.run(script).decode().startswith("a truncation is ")
