"""The way from one seed to another in the browser is the way that it is everywhere."""

import json
import math

import numpy as np
import pytest

from tests.export.formats.web.node import Node
from wgan.serve.latents.sources import between
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation

WAYS = """
    import { latents } from "./latents.js";
    import { truncate } from "./truncation.js";
    import { between } from "./way.js";
    const seeds = new BigUint64Array(taken);
    const threshold = %s;
    for (let i = 0; i < seeds.length; i += 2) {
      const [a, b] = [seeds[i], seeds[i + 1]].map((seed) => {
        const z = latents([seed], %d);
        return threshold ? truncate(z, threshold, "truncated") : z;
      });
      give(between(a, b, %d));
    }
"""
SLERP = """
    import { slerp } from "./way.js";
    const ends = new Float32Array(taken);
    const [a, b] = [ends.subarray(0, ends.length / 2), ends.subarray(ends.length / 2)];
    for (const t of [0, 0.25, 0.5, 1]) {
      const out = new Float32Array(a.length);
      slerp(a, b, t, out);
      give(out);
    }
"""


@pytest.mark.parametrize(("dim", "steps", "threshold"), [(128, 17, None), (128, 8, 0.7), (3, 64, None), (1, 5, None)])
def test_steps_are_those_of_serve(node: Node, dim: int, steps: int, threshold: float | None):
    pairs = np.random.default_rng(dim).integers(0, 2**63, (100, 2), np.uint64)
    pairs[0] = 7, 7
    found = node.array(WAYS % (json.dumps(threshold), dim, steps), pairs).reshape(100, steps, dim)
    truncation = None if threshold is None else Truncation(threshold)
    expected = np.stack([between(dim, int(a), int(b), steps, truncation).rows(0, steps) for a, b in pairs])
    ulps = np.abs(found.view(np.int32).astype(np.int64) - expected.view(np.int32))
    assert ulps.max() <= 1  # acos and sin are each platform's own
    assert (ulps > 0).mean() < 1e-5
    assert not ulps[:, [0, -1]].any()


@pytest.mark.parametrize("factor", [1, -1, 0, 2, 1 + 1e-6])
def test_vectors_without_a_plane_go_straight(node: Node, factor: float):
    from wgan.serve.latents.sources import slerp

    a = latents(0, 1, 16)[0]
    b = (a * np.float32(factor)).astype(np.float32)
    found = node.array(SLERP, np.concatenate([a, b])).reshape(4, 16)
    expected = np.stack([slerp(a, b, t) for t in (0, 0.25, 0.5, 1)])
    assert np.array_equal(found, expected)


def test_sums_are_rounded_once(node: Node):
    rng = np.random.default_rng(1)
    rows = [
        [],
        [1e16, 1, 1e-16],
        [1, 2**-53, 2**-106],
        [1, 2**-53],
        [-1, -(2**-53), -(2**-106)],
        [1e100, 1, -1e100],
        [0.1] * 10,
        *(list(rng.normal(size=n) * 10.0 ** rng.integers(-30, 30, n)) for n in rng.integers(1, 200, 200)),
    ]
    script = """
        import { fsum } from "./way.js";
        console.log(JSON.stringify(%s.map(fsum)));
    """
    assert json.loads(node.run(script % json.dumps(rows)), parse_int=float) == [math.fsum(row) for row in rows]


def test_a_way_has_two_ends(node: Node):
    script = """
        import { between } from "./way.js";
        try { between(new Float32Array(2), new Float32Array(2), 1); } catch (error) { console.log(error.message); }
    """
    assert node.run(script).decode().strip() == "a way has at least 2 steps, not 1"
