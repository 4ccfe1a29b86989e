"""The eyes of a drawn face: what makes it anime."""

from dataclasses import dataclass

import numpy as np

from wgan.training.faces.canvas import (
    INK,
    WHITE,
    Canvas,
    Colour,
    Dice,
    Points,
    bend,
    clear,
    ellipse,
    hsv,
    mix,
    outline,
)
from wgan.training.faces.look import Look

U = np.linspace(-1, 1, 15)  # across an eye, from the nose outwards


@dataclass(frozen=True)
class Style:
    """What both eyes of a face share."""

    slant: float  # of the outer corner, down
    flatness: float  # exponent of the lids' curve
    gaze: float
    glint: int  # the side that light comes from, -1 or 1
    crease: bool
    lower_lash: bool


def eyes(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Both eyes: open, half open, smiling, asleep or winking."""
    width, height = dice.between(0.25, 0.3), dice.between(0.27, 0.36) * (0.78 if look.boyish else 1)
    mood = dice.choice(("open",) * 10 + ("happy", "asleep", "wink", "half"))
    winking, odd, other = dice.choice((-1, 1)), dice.chance(0.05), hsv(dice.between(0, 1), 0.7, 0.8)
    style = Style(
        slant=dice.between(-0.09, 0.05),
        flatness=dice.between(2.2, 3.2),
        gaze=dice.between(-0.05, 0.05) + look.yaw * 0.02,
        glint=dice.choice((-1, -1, 1)),
        crease=dice.chance(0.7),
        lower_lash=dice.chance(0.5),
    )
    for sign in (-1, 1):
        x, narrow = look.side(sign)
        w, y = width * narrow, look.eye_y
        if mood in ("happy", "asleep") or (mood == "wink" and sign == winking):
            middle = y + 0.38 if mood == "asleep" else y - 0.24
            canvas.stroke(bend((x - w, y + 0.08), (x, middle), (x + w, y + 0.08)), look.lash, 0.07)
            continue
        h = height * (0.62 if mood == "half" else 1)
        iris = other if odd and sign > 0 else look.iris
        _open_eye(canvas, look, style, sign, (x, y + height - h, w, h), iris)


def _open_eye(
    canvas: Canvas, look: Look, style: Style, sign: int, box: tuple[float, float, float, float], iris: Colour
) -> None:
    """One eye on the side ``sign``, in a box of centre x, y and half sizes w, h."""
    x, y, w, h = box
    across, bulge = sign * w * U, np.abs(U) ** style.flatness
    slope = y + style.slant * U
    upper = outline(x + across, slope - h * (1 - bulge))
    lower = outline(x + across * 0.94, slope + 0.78 * h * (1 - bulge * np.abs(U)))

    def within(shape: Points) -> Points:
        """Cut to the opening between the lids."""
        top = np.interp(shape[:, 0], upper[::sign, 0], upper[::sign, 1])
        bottom = np.interp(shape[:, 0], lower[::sign, 0], lower[::sign, 1])
        return outline(shape[:, 0], np.minimum(np.maximum(shape[:, 1], top), bottom))

    canvas.fill(np.concatenate([upper, lower[::-1]]), WHITE)
    cx, cy, rx, ry = x + style.gaze, y - 0.04 * h, w * 0.66, h * 0.92
    dark = mix(iris, INK, 0.62)
    canvas.fill(within(ellipse(cx, cy, rx, ry)), dark)
    canvas.fill(within(ellipse(cx, cy + 0.04 * h, rx * 0.86, ry * 0.86)), iris)
    canvas.fill(within(ellipse(cx, cy - ry * 0.42, rx * 0.88, ry * 0.5)), mix(iris, dark, 0.75))
    canvas.fill(ellipse(cx, cy + ry * 0.46, rx * 0.56, ry * 0.28), mix(iris, WHITE, 0.45))
    canvas.fill(ellipse(cx, cy + 0.02, rx * 0.4, ry * 0.42), mix(iris, INK, 0.85))
    canvas.fill(np.concatenate([upper, upper[::-1] + (0, 0.2 * h)]), clear(mix(look.skin, INK, 0.6), 0.35))
    canvas.fill(ellipse(cx + style.glint * rx * 0.36, cy - ry * 0.4, rx * 0.34, ry * 0.26), WHITE)
    canvas.fill(ellipse(cx - style.glint * rx * 0.4, cy + ry * 0.42, rx * 0.18, ry * 0.14), WHITE)

    above = outline(upper[:, 0], upper[:, 1] - (0.055 + 0.025 * (U + 1)))  # the lash, heavier outwards
    wing = np.array([(x + sign * w * 1.16, upper[-1, 1] - 0.1)])
    canvas.fill(np.concatenate([upper, wing, above[::-1]]), look.lash)
    canvas.stroke(lower[8:-1], mix(look.skin_edge, look.lash, 0.5), 0.04 if style.lower_lash else 0.025)
    if style.crease:
        canvas.stroke(upper[3:-3] - (0, 0.17), look.skin_edge, 0.022)
