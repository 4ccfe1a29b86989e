"""Seed 7 in the browser is seed 7 everywhere: the latent table in JavaScript has the bits of serve's."""

import numpy as np
import pytest

from tests.export.formats.web.node import Node
from wgan.serve.latents.table import SEEDS, box_muller, latents_of

ROWS = """
    import { latents } from "./latents.js";
    give(latents(new BigUint64Array(taken), %d));
"""


def drawn(node: Node, seeds: np.ndarray, dim: int) -> np.ndarray:
    return node.array(ROWS % dim, seeds.astype(np.uint64)).reshape(len(seeds), dim)


def some_seeds(dim: int, count: int) -> np.ndarray:
    """The table's ends; rows where a word of the counter overflows, or a seed leaves what a Number holds; others."""
    blocks = -(-dim // 8)
    edges = [2**32, 2**53, 2**61, 2**62, 2**32 // blocks, 2**64 // blocks, 2**65 // blocks]
    around = [edge + i for edge in edges for i in range(-4, 5) if 0 <= edge + i < SEEDS]
    ends = [*range(40), *range(SEEDS - 40, SEEDS)]
    return np.concatenate(
        [
            np.array([*ends, *around], np.uint64),
            np.random.default_rng(dim).integers(0, SEEDS, count, np.uint64),
        ]
    )


@pytest.mark.parametrize(
    ("dim", "count"), [(128, 5000), (1, 500), (3, 500), (8, 500), (16, 500), (100, 2000), (513, 100), (40_000, 2)]
)
def test_rows_have_the_bits_of_the_table(node: Node, dim: int, count: int):
    seeds = some_seeds(dim, count)
    expected = latents_of(seeds, dim)
    assert np.array_equal(drawn(node, seeds, dim).view(np.int32), expected.view(np.int32))


def test_every_kind_of_word_becomes_the_same_normal(node: Node):
    powers = 2 ** np.arange(32, dtype=np.int64)
    half = int(np.sqrt(0.5) * 2**31)  # where the logarithm changes its exponent
    edges = np.concatenate(
        [[0], *(powers + i for i in (-1, 0, 1)), half + np.arange(-200, 200), half // 2 + np.arange(9)]
    )
    edges = np.concatenate([edges, -edges]).astype(np.uint32).view(np.int32)
    radius, angle = (axis.ravel() for axis in np.meshgrid(edges, edges[::7]))
    cos, sin = np.empty((2, 1, len(radius)), np.float32)
    box_muller(radius[None], angle[None], cos, sin)
    assert np.signbit(cos[cos == 0]).any()

    script = """
        import { normals } from "./latents.js";
        const words = new Int32Array(taken);
        const out = new Float32Array(words.length);
        normals(words, words.length / 2, out, 0, words.length);
        give(out);
    """
    found = node.array(script, np.concatenate([radius, angle]))
    assert np.array_equal(found.view(np.int32), np.concatenate([cos[0], sin[0]]).view(np.int32))


@pytest.mark.parametrize(("seed", "dim"), [("-1n", 8), ("2n ** 63n", 8), ("0n", 0), ("0n", 1.5)])
def test_what_is_not_in_the_table_is_refused(node: Node, seed: str, dim: float):
    script = f"""
        import {{ latents }} from "./latents.js";
        try {{ latents([{seed}], {dim}); }} catch (error) {{ console.log(error.message); }}
    """
    said = node.run(script).decode()
    assert said.startswith(("seeds must be from 0 to 2^63 - 1, not ", "cannot draw latents of "))
