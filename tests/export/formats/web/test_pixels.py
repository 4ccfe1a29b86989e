"""Floats become 8-bit pixels in the browser by the rule of `to_uint8`, and the page's check compares such pixels."""

import json

import numpy as np
import pytest

from tests.export.formats.web.node import Node
from wgan.serve.outputs.levels import to_uint8

PIXELS = """
    import { toBytes } from "./pixels.js";
    give(toBytes(new Float32Array(taken), { channels: %d, height: %d, width: %d }));
"""
CHECK = """
    import { check } from "./check.js";
    const expected = { seeds: ["0", "9007199254740993"], pixels: btoa("\\x00\\x7f\\xff\\x10")%s };
    const draw = async (seeds, ...look) => {
      if (seeds[1] !== 9007199254740993n || look.join() !== ",,truncated") throw new Error("asked for others");
      return Uint8Array.of(%s);
    };
    console.log(JSON.stringify(await check(draw, expected)));
"""


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_those_of_to_uint8(node: Node, channels: int):
    rng = np.random.default_rng(channels)
    images = rng.uniform(-1.2, 1.2, (3, channels, 40, 50)).astype(np.float32)
    halves = ((np.arange(-2, 258, dtype=np.float64) + 0.5) / 127.5 - 1).astype(np.float32)
    around = [halves, np.nextafter(halves, np.float32(9)), np.nextafter(halves, np.float32(-9))]
    edges = np.concatenate([*around, np.float32([-1, 1, 0, -0.0, 1e-45, -1e-45, 2e36, -2e36])])
    images.reshape(-1)[: len(edges)] = edges
    written = node.array(PIXELS % (channels, 40, 50), images)
    assert np.array_equal(np.frombuffer(written.tobytes(), np.uint8).reshape(3, 40, 50, channels), to_uint8(images))


@pytest.mark.parametrize(
    ("drawn", "allowed", "passed", "levels"),
    [
        ("0, 127, 255, 16", "", True, 0),
        ("1, 126, 255, 16", "", True, 1),
        ("0, 127, 253, 16", "", False, 2),
        ("0, 127, 253, 16", ", levels: 2", True, 2),
        ("0, 127, 253, 19", ", levels: 2", False, 3),
    ],
)
def test_the_check_says_how_far_the_pixels_are(node: Node, drawn: str, allowed: str, passed: bool, levels: int):
    found = json.loads(node.run(CHECK % (allowed, drawn)))
    assert found == {"passed": passed, "images": 2, "levels": levels, "allowed": 2 if allowed else 1}


def test_other_pixels_than_asked_for_are_an_error(node: Node):
    script = """
        import { levels } from "./check.js";
        try { levels(new Uint8Array(3), new Uint8Array(4)); } catch (error) { console.log(error.message); }
    """
    assert node.run(script).decode().strip() == "these are not as many pixels"
