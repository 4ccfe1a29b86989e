"""What is around a drawn face: the background, the neck and the clothes."""

import math

import numpy as np
from PIL import Image

from wgan.training.data.faces.canvas import (
    INK,
    WHITE,
    Canvas,
    Colour,
    Dice,
    clear,
    hsv,
    mix,
)
from wgan.training.data.faces.curves import SIDES, bend, curve, ellipse, mirrored
from wgan.training.data.faces.look import Look
from wgan.training.data.faces.worn import bow


def background(dice: Dice, size: int, factor: int) -> Image.Image:
    """A soft gradient, with or without a pattern; ``factor`` times as large as the final image."""
    hue, kind = dice.between(0, 1), dice.choice(("plain", "plain", "bokeh", "dots", "stripes", "rays", "sky", "petals"))
    deep = dice.chance(0.15)
    value = dice.between(0.35, 0.55) if deep else dice.between(0.82, 1.0)
    first = hsv(hue, dice.between(0.08, 0.45), value)
    second = hsv(hue + dice.between(-0.2, 0.2), dice.between(0.05, 0.4), min(1.0, value * dice.between(0.85, 1.2)))
    if kind == "sky":
        first, second = hsv(dice.between(0.54, 0.6), dice.between(0.35, 0.6), 0.95), hsv(0.1, 0.06, 1.0)
    side = mix(first, second, dice.between(0, 1))
    corners = np.array([[first, side], [mix(side, second, 0.5), second]], dtype=np.uint8)
    # blown up without smoothing: `factor` is undone exactly when the drawing is reduced
    image = Image.fromarray(corners).resize((size, size), Image.Resampling.BILINEAR)
    image = image.resize((size * factor, size * factor), Image.Resampling.NEAREST)
    canvas = Canvas(image, 0, 0, 1, 0)
    _pattern(canvas, dice, kind, mix(mix(first, second, 0.5), WHITE, 0.55))
    canvas.paint()
    return image


def _pattern(canvas: Canvas, dice: Dice, kind: str, light: Colour) -> None:
    """Drawn in shares of the canvas, under the face."""
    if kind == "bokeh":
        for _ in range(7):
            radius = dice.between(0.04, 0.13)
            x, y = dice.between(0, 1), dice.between(0, 1)
            canvas.oval(x, y, radius, radius, clear(light, dice.between(0.2, 0.5)))
    elif kind == "dots":
        step = dice.between(0.16, 0.24)
        for row in range(math.ceil(1 / step) + 1):
            for column in range(math.ceil(1 / step) + 1):
                x = (column + 0.5 * (row % 2)) * step
                canvas.oval(x, row * step, step * 0.22, step * 0.22, light)
    elif kind == "stripes":
        step, slope = dice.between(0.14, 0.26), dice.between(-0.6, 0.6)
        for i in range(-4, 12):
            x = i * step
            band = np.array([(x, 0), (x + step / 2, 0), (x + step / 2 + slope, 1), (x + slope, 1)])
            canvas.fill(band, light)
    elif kind == "rays":
        turn = dice.between(0, 1)
        for i in range(9):
            a, b = ((i + turn) / 9 * math.tau, (i + turn + 0.5) / 9 * math.tau)
            ray = np.array([(0, 0), (math.cos(a), math.sin(a)), (math.cos(b), math.sin(b))]) + (0.5, 0.5)
            canvas.fill(ray, clear(light, 0.6))
    elif kind == "sky":
        for _ in range(3):
            x, y, r = dice.between(0, 1), dice.between(0.05, 0.6), dice.between(0.05, 0.09)
            for dx, dy, grow in ((-1.3, 0.2, 0.8), (0, 0, 1.2), (1.3, 0.2, 0.9)):
                canvas.oval(x + dx * r, y + dy * r, r * grow * 1.3, r * grow, clear(WHITE, 0.8))
    elif kind == "petals":
        pink = dice.choice(((255, 190, 210), (255, 255, 255), (255, 236, 150)))
        for _ in range(10):
            x, y, a, r = (dice.between(low, high) for low, high in ((0, 1), (0, 1), (0, math.tau), (0.02, 0.045)))
            along, across = np.array([math.cos(a), math.sin(a)]) * r, np.array([-math.sin(a), math.cos(a)]) * r
            canvas.fill(np.array([along, across * 0.6, -along, -across * 0.6]) + (x, y), pink)


_CHIN_SHADOW = curve(((-0.33, 0.9), (0.33, 0.9), (0.32, 1.22), (0, 1.36), (-0.32, 1.22)), closed=True)
_SLEEVE_FOLD = bend((0.95, 1.75), (0.9, 2.0), (1.0, 2.4))


def body(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Neck, shoulders and one of seven kinds of clothes."""
    kind = dice.choice(("sailor", "tee", "hoodie", "turtleneck", "shirt", "kimono", "dress"))
    cloth = hsv(dice.between(0, 1), dice.between(0.15, 0.75), dice.between(0.35, 0.98))
    if dice.chance(0.25):
        cloth = dice.choice(((250, 250, 252), (52, 54, 74), (236, 232, 222)))
    accent = hsv(dice.between(0, 1), dice.between(0.55, 0.85), dice.between(0.6, 0.95))
    edge, dark = mix(cloth, INK, 0.6), mix(cloth, INK, 0.3)
    width = dice.between(1.25, 1.6)

    if kind == "hoodie":
        canvas.shape(ellipse(0, 1.5, 1.0, 0.55), dark, edge)
    left = curve(((-width, 3.0), (-width + 0.1, 2.0), (-0.95, 1.56), (-0.42, 1.38), (-0.31, 1.15), (-0.3, 0.7)))
    neck = np.concatenate([left, mirrored(left)])
    canvas.shape(neck, look.skin, look.skin_edge)
    canvas.fill(_CHIN_SHADOW, look.skin_shade)
    left = curve(((-width - 0.15, 3.2), (-width, 1.95), (-0.95, 1.52), (-0.52, 1.38)))
    dip = {"dress": 1.75, "tee": 1.62, "shirt": 1.75, "sailor": 1.8, "kimono": 1.9}.get(kind, 1.5)
    torso = np.concatenate([left, bend((-0.5, 1.38), (0, 2 * dip - 1.38), (0.5, 1.38)), mirrored(left)])
    if kind == "dress":
        torso[:, 1] += 0.16
        for sign in (-1, 1):
            canvas.stroke(np.array([(0.46 * sign, 1.38), (0.62 * sign, 1.9)]), cloth, 0.12)
    canvas.shape(torso, cloth, edge)
    for flip in SIDES:
        canvas.stroke(_SLEEVE_FOLD * flip, dark, 0.035)

    if kind == "sailor":
        for flip in SIDES:
            flap = np.array([(0.42, 1.3), (0.95, 1.5), (1.0, 2.1), (0.0, 2.0)]) * flip
            canvas.shape(flap, accent, mix(accent, INK, 0.5))
            canvas.stroke(np.array([(0.82, 1.5), (0.86, 1.96), (0.0, 1.88)]) * flip, WHITE, 0.045)
        bow(canvas, 0, 2.0, 0.3, hsv(dice.between(0.93, 1.05), 0.75, 0.85))
    elif kind == "turtleneck":
        collar = np.array([(-0.4, 1.02), (0.4, 1.02), (0.5, 1.5), (-0.5, 1.5)])
        canvas.shape(collar, cloth, edge)
        for x in (-0.2, 0, 0.2):
            canvas.stroke(np.array([(x, 1.08), (x * 1.2, 1.46)]), dark)
    elif kind == "hoodie":
        for sign in (-1, 1):
            canvas.fill(bend((0.35 * sign, 1.25), (0.95 * sign, 1.35), (0.15 * sign, 1.95)), dark)
            canvas.stroke(np.array([(0.25 * sign, 1.7), (0.28 * sign, 2.3)]), WHITE, 0.05)
    elif kind == "shirt":
        tie = np.array([(-0.1, 1.62), (0.1, 1.62), (0.16, 2.6), (-0.16, 2.6)])
        canvas.shape(tie, accent, mix(accent, INK, 0.5))
        for flip in SIDES:
            flap = np.array([(0.36, 1.24), (0.62, 1.4), (0.42, 1.85), (0.0, 1.62)]) * flip
            canvas.shape(flap, mix(cloth, WHITE, 0.35), edge)
    elif kind == "kimono":
        for flip in SIDES[::-1]:
            band = np.array([(0.36, 1.22), (0.62, 1.36), (-0.25, 2.3), (-0.5, 2.2)]) * flip
            canvas.shape(band, accent, mix(accent, INK, 0.5))
    elif kind == "tee" and dice.chance(0.5):
        canvas.stroke(bend((-0.5, 1.38), (0, 1.86), (0.5, 1.38)), accent, 0.08)
    elif kind == "dress" and dice.chance(0.6):
        canvas.stroke(bend((-0.31, 1.2), (0, 1.36), (0.31, 1.2)), accent, 0.08)  # a choker
