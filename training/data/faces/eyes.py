"""The eyes of a drawn face: what makes it anime."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wgan.training.data.faces.canvas import INK, WHITE, Canvas, Colour, Dice, clear, hsv, mix
from wgan.training.data.faces.curves import CIRCLE, Points, bend, outline
from wgan.training.data.faces.look import Look

U = np.linspace(-1, 1, 15)  # across an eye, from the nose outwards
U_BELOW = U * 0.94
FLAT = np.abs(U)
LASH = 0.055 + 0.025 * (U + 1)  # heavier outwards
# the iris's rim, its colour and the shadow of the lid on it, in half sizes of the iris
IRIS = np.concatenate([CIRCLE, CIRCLE * (0.86, 0.935) + (0.0, 0.0435), CIRCLE * (0.88, 0.5) - (0.0, 0.42)])
# the shapes that follow the lids, one after another: the white, the lid's shadow, the lash
SHAPES_U = np.concatenate([U, U_BELOW[::-1], U, U[::-1], U, (1.16,), U[::-1]])


@dataclass(frozen=True)
class Style:
    """What both eyes of a face share."""

    height: float  # half of it
    upper: NDArray[np.float64]  # y of the lids at U and at U_BELOW
    lower: NDArray[np.float64]
    gaze: float
    glint: int  # the side that light comes from, -1 or 1
    crease: bool
    lower_lash: bool

    @cached_property
    def shapes(self) -> Points:
        """The shapes that follow the lids and then the iris, uncut. x is a share of half the eye's width."""
        upper, shadow = self.upper, self.upper + 0.2 * self.height
        wing = upper[-1:] - 0.1
        y = np.concatenate([upper, self.lower[::-1], upper, shadow[::-1], upper, wing, (upper - LASH)[::-1]])
        iris = IRIS * (0.66, 0.92 * self.height) - (0.0, 0.04 * self.height)
        return np.concatenate([outline(SHAPES_U, y), iris])

    def at(self, centre: tuple[float, float], across: float) -> Points:
        """The shapes of the eye that lies there, the iris cut to the opening between the lids."""
        shapes = self.shapes.copy()
        iris = shapes[len(SHAPES_U) :]
        iris[:, 0] += self.gaze / across
        top, bottom = np.interp(iris[:, 0], U, self.upper), np.interp(iris[:, 0], U_BELOW, self.lower)
        iris[:, 1] = np.minimum(np.maximum(iris[:, 1], top), bottom)
        return shapes * (across, 1.0) + centre


def eyes(canvas: Canvas, dice: Dice, look: Look) -> None:
    """Both eyes: open, half open, smiling, asleep or winking."""
    width, height = dice.between(0.25, 0.3), dice.between(0.27, 0.36) * (0.78 if look.boyish else 1)
    mood = dice.choice(("open",) * 10 + ("happy", "asleep", "wink", "half"))
    winking, odd, other = dice.choice((-1, 1)), dice.chance(0.05), hsv(dice.between(0, 1), 0.7, 0.8)
    slant, flatness = dice.between(-0.09, 0.05), dice.between(2.2, 3.2)
    h = height * (0.62 if mood == "half" else 1)
    bulge = FLAT**flatness
    style = Style(
        height=h,
        upper=slant * U - h * (1 - bulge),
        lower=slant * U + 0.78 * h * (1 - bulge * FLAT),
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
        _open_eye(canvas, look, style, (x, y + height - h), sign * w, other if odd and sign > 0 else look.iris)


def _open_eye(
    canvas: Canvas, look: Look, style: Style, centre: tuple[float, float], across: float, iris: Colour
) -> None:
    """One eye. ``across``: half its width, negative on the left."""
    x, y = centre
    h, w = style.height, abs(across)
    rx, ry = w * 0.66, h * 0.92
    cx, cy = x + style.gaze, y - 0.04 * h
    shapes = style.at(centre, across)
    white, lid_shadow, lash = shapes[:30], shapes[30:60], shapes[60:91]
    rim, disc, shadow = shapes[91:115], shapes[115:139], shapes[139:]
    dark = mix(iris, INK, 0.62)

    canvas.fill(white, WHITE)
    canvas.fill(rim, dark)
    canvas.fill(disc, iris)
    canvas.fill(shadow, mix(iris, dark, 0.75))
    canvas.oval(cx, cy + ry * 0.46, rx * 0.56, ry * 0.28, mix(iris, WHITE, 0.45))
    canvas.oval(cx, cy + 0.02, rx * 0.4, ry * 0.42, mix(iris, INK, 0.85))
    canvas.fill(lid_shadow, clear(mix(look.skin, INK, 0.6), 0.35))
    canvas.oval(cx + style.glint * rx * 0.36, cy - ry * 0.4, rx * 0.34, ry * 0.26, WHITE)
    canvas.oval(cx - style.glint * rx * 0.4, cy + ry * 0.42, rx * 0.18, ry * 0.14, WHITE)

    canvas.fill(lash, look.lash)
    canvas.stroke(white[16:22], mix(look.skin_edge, look.lash, 0.5), 0.04 if style.lower_lash else 0.025)
    if style.crease:
        canvas.stroke(white[3:12] - (0, 0.17), look.skin_edge, 0.022)
