"""What a drawn face may wear: a bow, a pin, a band, a flower, the ears of a cat, glasses."""

import math

import numpy as np

from wgan.training.data.faces.canvas import INK, WHITE, Canvas, Colour, Dice, clear, hsv, mix
from wgan.training.data.faces.curves import SIDES, bend, curve, ellipse
from wgan.training.data.faces.look import Look


def bow(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    """A ribbon tied in a bow."""
    edge = mix(colour, INK, 0.45)
    for sign in (-1, 1):
        wing = curve(((0, 0), (sign, -0.65), (sign * 1.15, 0.1), (sign * 0.9, 0.6)), closed=True)
        canvas.shape(wing * size + (x, y), colour, edge)
    canvas.oval(x, y, size * 0.3, size * 0.3, mix(colour, WHITE, 0.15), edge)


def in_hair(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Often nothing; all of it off the middle of the fringe, where hair colour is read."""
    kind = dice.choice(("none",) * 8 + ("pin", "band", "flower", "cat", "bow"))
    side, size = dice.choice((-1, 1)), dice.between(0.3, 0.42)
    colour = hsv(dice.between(0, 1), dice.between(0.55, 0.8), dice.between(0.75, 0.98))
    edge = mix(colour, INK, 0.5)
    if kind == "pin":
        for y in (-0.5, -0.37):
            canvas.stroke(np.array([(side * 0.5, y), (side * 0.8, y + 0.08)]), colour, 0.07)
    elif kind == "band":
        upper = bend((-1.06, -0.5), (0, -2.1), (1.06, -0.5))
        canvas.shape(np.concatenate([upper, upper[::-1] * (0.97, 0.88)]), colour, edge)
    elif kind == "flower":
        x, y = side * 0.85, -0.72
        for petal in range(5):
            a = petal * math.tau / 5
            canvas.oval(x + 0.15 * math.cos(a), y + 0.15 * math.sin(a), 0.13, 0.13, colour, edge)
        canvas.oval(x, y, 0.09, 0.09, (255, 230, 120))
    elif kind == "cat":
        for flip in SIDES:
            ear = np.array([(0.32, -1.3), (0.64, -1.85), (1.02, -0.9)]) * flip
            canvas.shape(ear, look.hair, look.hair_edge, 0.035)
            canvas.fill(np.array([(0.47, -1.28), (0.65, -1.66), (0.86, -1.05)]) * flip, mix(look.skin, WHITE, 0.1))
    elif kind == "bow":
        bow(canvas, 0.82 * side, -1.02, size, colour)


def glasses(canvas: Canvas, dice: Dice, look: Look) -> None:
    """On one face in ten: round or square rims with a hint of glass."""
    worn, square = dice.chance(0.1), dice.chance(0.4)
    colour = dice.choice(((60, 50, 70), (150, 40, 50), (60, 80, 140), (190, 150, 70)))
    if not worn:
        return
    y, shift = look.eye_y + 0.06, look.yaw * 0.14
    for sign in (-1, 1):
        x, narrow = look.side(sign)
        rx, ry = 0.36 * narrow, 0.3
        rim = ellipse(0, 0, rx, ry)
        if square:
            rim = np.clip(rim * 1.25, (-rx, -ry * 0.85), (rx, ry * 0.85))
        rim = rim + (x, y)
        canvas.fill(rim, clear(WHITE, 0.14))
        canvas.stroke(np.concatenate([rim, rim[:1]]), colour, 0.045)
        canvas.stroke(np.array([(x + sign * rx, y - 0.06), (sign * 0.95, y - 0.1)]), colour, 0.04)
    canvas.stroke(bend((shift - 0.12, y - 0.02), (shift, y - 0.1), (shift + 0.12, y - 0.02)), colour, 0.04)
