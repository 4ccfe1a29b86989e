"""The hair of a drawn face: behind the head, and the fringe over it."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wgan.training.data.faces.canvas import Canvas, Dice, clear, mix
from wgan.training.data.faces.curves import SIDES, Points, bend, bends, curve, mirrored, outline
from wgan.training.data.faces.look import Look

BACKS = ("short", "bob", "long", "long", "wavy", "twintails", "ponytail", "buns", "braids")
FRINGES = ("straight", "ragged", "ragged", "swept", "swept", "centre", "m")
HAIRLINE = 0.78  # half the width of the fringe
UNDER_FRINGE = np.array([(-0.7, -0.9), (0.7, -0.9)])
DOWN = np.linspace(0, 1, 9)
WIDENING = DOWN**0.7
WAVES = 0.1 * np.sin(1.9 * np.arange(9))
ARC = np.linspace(-1, 1, 15)
FADE = 1 - ARC**4
ZIGZAG = (0.06 + 0.09 * (np.arange(15) % 2) * (1 - 0.4 * ARC**2)) * FADE
_ROUND = math.pi * (-0.24 + 1.48 * np.linspace(0, 1, 9))  # from one side of the nape over the top
SKULL = outline(np.cos(_ROUND), -np.sin(_ROUND))


def back_hair(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Hair behind the head and the shoulders."""
    style = dice.choice(("spiky", "spiky", "short")) if look.boyish else dice.choice(BACKS)
    volume, length, side = dice.between(1.12, 1.26), dice.between(0, 1), dice.choice((-1, 1))
    edge, tied = look.hair_edge, mix(look.hair, look.hair_dark, 0.4)
    if style == "spiky":
        canvas.shape(_spikes(dice, volume), tied, edge)
        return
    if style == "twintails":
        out, drop = 1.55 + 0.3 * length, dice.between(1.2, 2.2)
        tail = curve(
            (
                *((0.85, -0.85), (1.35, -0.95), (out, -0.2), (out - 0.02, drop * 0.6)),
                *((out - 0.3, drop), (1.2, drop * 0.6), (1.12, 0.0)),
            ),
            closed=True,
        )
        strand = bend((1.1, -0.7), (out * 0.95, -0.2), (out - 0.25, drop * 0.8))
        for flip in SIDES:
            canvas.shape(tail * flip, tied, edge)
            canvas.stroke(strand * flip, edge)
    elif style == "ponytail":
        drop = 1.2 + 0.6 * length
        around = ((0.3, -1.35), (0.9, -1.62), (1.55, -1.0), (1.62, 0.1), (1.4, drop), (1.22, 0.3), (0.95, -0.7))
        canvas.shape(curve(around, closed=True) * (side, 1), tied, edge)
        canvas.stroke(bend((0.7, -1.3), (1.4, -0.8), (1.4, 0.6)) * (side, 1), edge)
    elif style == "buns":
        for sign in (-1, 1):
            canvas.oval(sign * 0.88, -1.2, 0.42, 0.42, look.hair, edge)
            canvas.stroke(bend((0.7, -1.3), (0.95, -1.5), (1.08, -1.15)) * (sign, 1), edge)
    elif style == "braids":
        for sign in (-1, 1):
            for i in range(6):
                canvas.oval(sign * (1.08 + 0.03 * i), 0.5 + 0.3 * i, 0.25 - 0.012 * i, 0.21, look.hair, edge)
    canvas.shape(_curtain(style, volume, length), look.hair_dark, edge)


def _curtain(style: str, volume: float, length: float) -> Points:
    """Loose hair from the crown to its tips."""
    ends = {"long": 1.7 + 1.5 * length, "wavy": 1.6 + 1.5 * length, "bob": 1.0 + 0.3 * length}.get(style, 0.78)
    flare = {"long": 0.16, "wavy": 0.22, "bob": 0.12}.get(style, -0.06)
    half = volume * (1 + flare * WIDENING)
    if style == "wavy":
        half += WAVES
    half[-3:] *= (0.99, 0.9, 0.62)  # turned in at the tips
    left = curve(outline(-half, -0.2 + (ends + 0.2) * DOWN)[::-1])
    top = curve(((-volume, -0.2), (-volume * 0.8, -1.0), (0, -1.45), (volume * 0.8, -1.0), (volume, -0.2)))
    return np.concatenate([left, top, mirrored(left)])


def _spikes(dice: Dice, volume: float) -> Points:
    """Tufts around the skull that lean down, each of its own length."""
    roots = SKULL * volume - (0.0, 0.25)
    start, end = roots[:-1], roots[1:]
    reach = np.array([(dice.between(1.22, 1.5),) for _ in start])
    tip = (start + end) * 0.5 * reach
    tip[:, 1] += 0.25 * (reach[:, 0] - 1) + 0.1 * np.abs(start[:, 0] + end[:, 0])
    return _there_and_back(start, 0.56 * (start + tip), tip, 0.48 * (end + tip), end)


def _there_and_back(start: Points, out: Points, tip: Points, back: Points, end: Points) -> Points:
    """A row of tufts: each bends from its start to its tip and on to its end, where the next starts."""
    tufts = np.concatenate([bends(start, out, tip), bends(tip, back, end)[:, 1:-1]], axis=1)
    return tufts.reshape(-1, 2)


def front_hair(canvas: Canvas, dice: Dice, look: Look) -> None:
    """The cap of hair with its fringe, side locks, strands and shine; its shadow on the face."""
    volume, top = dice.between(1.06, 1.16), dice.between(1.36, 1.5)
    lock, tip = dice.between(0.45, 0.9), dice.between(0.86, 1.0)
    if look.boyish:
        lock *= 0.6
    elif dice.chance(0.4):
        lock += 0.7
    gaps, tips = _fringe(dice)
    gaps[1:-1, 0] += look.turn
    tips[:, 0] += look.turn

    quarter = ((-volume, 0.25), (-volume, -0.35), (-volume * 0.82, -0.95), (-0.5, -top * 0.93))
    crown = curve((*quarter, (0, -top), *((-x, y) for x, y in reversed(quarter))))
    right = np.concatenate(
        [
            bend((volume, 0.25), (volume * 1.02, lock * 0.7), (tip, lock)),
            bend((tip, lock), (0.84, lock * 0.45), (HAIRLINE, -0.12)),
        ]
    )
    fringe = _locks(gaps, tips)
    canvas.fill(np.concatenate([UNDER_FRINGE, fringe + (0.0, 0.09)]), look.skin_shade)
    canvas.shape(np.concatenate([crown, right, fringe, mirrored(right)]), look.hair, look.hair_edge, 0.035)

    strand_colour, side_colour = mix(look.hair, look.hair_dark, 0.5), mix(look.hair, look.hair_dark, 0.55)
    rim = bend((tip, lock), (volume * 1.08, -0.55), (0.55, -top * 0.88))
    inner = bend((0.55, -top * 0.88), (volume * 0.74, -0.6), (tip, lock))
    dark = np.concatenate([rim, inner])
    for flip in SIDES:  # the head is round: darker at the sides
        canvas.fill(dark * flip, side_colour)
    roots = gaps[1:-1]
    strands = bends(roots, roots * (0.95, 1) - (0, 0.35), roots * (0.55, 0) - (0, top * 0.86))
    blades = np.concatenate([strands, strands[:, ::-1] + (0.1, 0)], axis=1)
    for strand, blade in zip(strands, blades, strict=True):  # from the gaps of the fringe to the crown
        canvas.fill(blade, strand_colour)
        canvas.stroke(strand[:4], look.hair_edge, 0.028)
    _shine(canvas, dice, look)
    lean = dice.between(-0.5, 0.5)
    if dice.chance(0.25):  # a tuft that will not lie flat
        end = (lean, -top - 0.28)
        tuft = [
            bend((0.02, -top + 0.04), (lean * 0.2, -top - 0.4), end),
            bend(end, (lean * 0.1, -top - 0.22), (-0.1, -top + 0.04)),
        ]
        canvas.shape(np.concatenate(tuft), look.hair, look.hair_edge)


@lru_cache(maxsize=8)
def _spread(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x of n + 1 gaps and of the n tips between them, from 1 to -1."""
    places = np.linspace(1, -1, 2 * n + 1)
    return places[::2], places[1::2]


def _fringe(dice: Dice) -> tuple[Points, Points]:
    """Gaps (n+1, 2) and tips (n, 2) of the fringe, from right to left."""
    style = dice.choice(FRINGES)
    n = {"straight": 8, "ragged": dice.choice((5, 6, 7)), "swept": 5, "centre": 6, "m": 5}[style]
    part = 0.0 if style == "centre" else dice.choice((-1, 1)) * dice.between(0.3, 0.5)
    noise = np.array([dice.between(-1, 1) for _ in range(24)])
    gap, tip = _spread(n)
    lean: NDArray[np.float64]
    if style == "straight":
        tip_y, gap_y, lean = -0.02 + 0.06 * tip**2 + 0.02 * noise[:n], np.full(n + 1, -0.14), 0.01 * noise[:n]
    elif style == "ragged":
        tip_y, gap_y = -0.02 + 0.1 * noise[:n] + 0.1 * tip**2, -0.36 + 0.08 * noise[n : 2 * n + 1]
        lean = 0.09 * noise[2 * n : 3 * n]
    elif style == "m":
        tip_y = np.array([0.2, -0.15, 0.1, -0.15, 0.2]) + 0.05 * noise[:n]
        gap_y, lean = np.array([-0.1, -0.4, -0.55, -0.55, -0.4, -0.1]), 0.1 * tip
    else:  # parted: locks fall away from the parting, longer with the distance
        away = tip - part
        far = np.abs(away) / (1 + abs(part))
        tip_y = -0.42 + 0.62 * far + 0.04 * noise[:n]
        gap_y = -0.86 + 0.7 * (np.abs(gap - part) / (1 + abs(part))) ** 0.8
        lean = 0.17 * np.sign(away) * (1.2 - far)
    gap_y[[0, -1]] = -0.12
    return outline(gap * HAIRLINE, np.minimum(gap_y, -0.1)), outline(tip * HAIRLINE + lean, tip_y)


def _locks(gaps: Points, tips: Points) -> Points:
    """The fringe's lower edge: down to each tip and up to the next gap, bellied."""
    left, right = gaps[1:], gaps[:-1]
    down, up = right * (0.75, 0.3) + tips * (0.25, 0.7), left * (0.6, 0.4) + tips * (0.4, 0.6)
    return np.concatenate([_there_and_back(right, down, tips, up, left), left[-1:]])


def _shine(canvas: Canvas, dice: Dice, look: Look) -> None:
    """The ring of light that anime hair wears."""
    y, half, strength = dice.between(-0.98, -0.84), dice.between(0.5, 0.78), dice.between(0.5, 0.85)
    if dice.chance(0.15):
        return
    x = half * ARC
    arc = y + 0.3 * x**2
    ring = np.concatenate([outline(x, arc - 0.03 * FADE), outline(x, arc + ZIGZAG)[::-1]])
    canvas.fill(ring, clear(look.hair_light, strength))
