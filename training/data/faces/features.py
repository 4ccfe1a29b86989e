"""The head of a drawn face and what is on it: blush, nose, mouth, brows."""

import numpy as np

from wgan.training.data.faces.canvas import INK, WHITE, Canvas, Colour, Dice, clear, mix
from wgan.training.data.faces.curves import bend, curve
from wgan.training.data.faces.look import Look


def head(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Ears and the face's outline."""
    cheek, jaw, chin = dice.between(0.76, 0.86), dice.between(0.36, 0.48), dice.between(1.06, 1.2)
    for sign in (-1, 1):
        canvas.oval(sign * 0.95, 0.28, 0.14, 0.23, look.skin, look.skin_edge)
        canvas.oval(sign * 0.97, 0.3, 0.06, 0.12, look.skin_shade)
    left = ((-0.8, -0.9), (-0.93, -0.2), (-0.91, 0.3), (-cheek, 0.66), (-jaw, chin - 0.16), (-0.1, chin))
    right = tuple((-x, y) for x, y in reversed(left))
    shade = ((0.92, -0.2), (0.9, 0.3), (cheek, 0.66), (jaw, chin - 0.17), (0.66, 0.6), (0.82, 0.1))
    side, lead = (-1 if look.yaw > 0 else 1), look.yaw * 0.07  # the chin leads when the head turns
    face = curve([(x + lead * max(y, 0), y) for x, y in (*left, *right)], closed=True)
    shaded = curve([(x * side + lead * max(y, 0), y) for x, y in shade], closed=True)
    canvas.fill(face, look.skin)
    canvas.stroke(face[4:41], look.skin_edge)  # hair covers the rest
    canvas.fill(shaded, mix(look.skin, look.skin_shade, 0.55))


def blush(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Soft cheeks, some with lines, some without any."""
    kind, strength = dice.choice(("soft", "soft", "lines", "none")), dice.between(0.12, 0.24)
    if kind == "none":
        return
    pink = mix(look.skin, (255, 70, 90), 0.75)
    for sign in (-1, 1):
        x = look.side(sign)[0] + sign * 0.13
        for grow in (1.0, 0.68):
            canvas.oval(x, 0.6, 0.23 * grow, 0.13 * grow, clear(pink, strength))
        if kind == "lines":
            for dx in (-0.09, 0.0, 0.09):
                canvas.stroke(np.array([(x + dx + 0.02, 0.55), (x + dx - 0.02, 0.64)]), pink, 0.025)


def nose(canvas: Canvas, dice: Dice, look: Look) -> None:
    """A dot, a line or a shadow."""
    kind, x = dice.choice(("dot", "line", "shade")), look.turn * 1.5
    if kind == "dot":
        canvas.oval(x, 0.56, 0.03, 0.022, look.skin_edge)
    elif kind == "line":
        canvas.stroke(bend((x, 0.48), (x + 0.05, 0.56), (x - 0.01, 0.59)), look.skin_edge, 0.025)
    else:
        canvas.fill(np.array([(x, 0.45), (x + 0.07, 0.58), (x - 0.02, 0.59)]), look.skin_shade)


LIPS = {  # height of the corners and of the middle, for mouths that are one line
    "smile": (-0.04, 0.1, -0.04),
    "flat": (0.0, 0.0, 0.0),
    "pout": (0.05, -0.06, 0.05),
    "smirk": (0.03, 0.08, -0.07),
}


def mouth(canvas: Canvas, dice: Dice, look: Look) -> None:
    """One of eight mouths."""
    kind = dice.choice(("smile", "smile", "open", "open", "grin", "o", "cat", "flat", "pout", "smirk"))
    x, y, w, depth = look.turn * 1.1, 0.81, dice.between(0.13, 0.22), dice.between(0.16, 0.28)
    line = mix(look.skin_edge, INK, 0.4)
    inside: Colour = (150, 48, 58)
    if kind in LIPS:
        left, middle, right = LIPS[kind]
        canvas.stroke(bend((x - w, y + left), (x, y + middle), (x + w, y + right)), line, 0.036)
    elif kind == "o":
        canvas.oval(x, y + 0.03, w * 0.45, w * 0.53, inside, line)
    elif kind == "cat":
        for sign in (-w, w):
            canvas.stroke(bend((x, y - 0.02), (x + sign * 0.5, y + 0.14), (x + sign, y - 0.03)), line)
    else:
        w, depth = w + 0.05, depth if kind == "open" else 0.14
        start, end = (x - w, y - 0.04), (x + w, y - 0.04)
        lips = np.concatenate([bend(start, (x, y + 0.03), end), bend(end, (x, y + 2 * depth), start)])
        canvas.fill(lips, inside if kind == "open" else WHITE)
        if kind == "open":  # the tongue, and the upper teeth
            canvas.oval(x, y + depth * 0.68, w * 0.5, depth * 0.28, (240, 128, 128))
            canvas.fill(bend((x - w * 0.75, y - 0.02), (x, y + 0.1), (x + w * 0.75, y - 0.02)), WHITE)
        canvas.stroke(lips, line)


def brows(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Drawn over the fringe, as anime does."""
    mood, y = dice.between(-0.09, 0.09), look.eye_y - 0.55 + dice.between(-0.08, 0.06)
    arch, thick = dice.between(0.02, 0.09), dice.between(0.03, 0.055) * (1.5 if look.boyish else 1)
    for sign in (-1, 1):
        x = look.side(sign)[0]
        line = bend((x - sign * 0.2, y + mood), (x + sign * 0.04, y - arch), (x + sign * 0.26, y - mood * 0.5 + 0.03))
        canvas.stroke(line, clear(look.lash, 0.75), thick)
