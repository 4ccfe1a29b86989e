"""The colours and the pose that all parts of a drawn face share."""

from dataclasses import dataclass
from functools import cached_property

from wgan.training.data.faces.canvas import INK, WHITE, Colour, Dice, hsv, mix

# hue (turns), saturation, value: ranges far enough apart to be told from pixels
HAIR = {
    "black": ((0.62, 0.74), (0.22, 0.36), (0.17, 0.25)),
    "brown": ((0.055, 0.085), (0.52, 0.64), (0.42, 0.52)),
    "blonde": ((0.115, 0.14), (0.46, 0.62), (0.93, 1.0)),
    "red": ((0.985, 1.01), (0.72, 0.82), (0.74, 0.86)),
    "pink": ((0.915, 0.95), (0.38, 0.5), (0.95, 1.0)),
    "blue": ((0.57, 0.63), (0.55, 0.7), (0.74, 0.9)),
    "green": ((0.36, 0.43), (0.45, 0.6), (0.6, 0.74)),
    "silver": ((0.6, 0.7), (0.04, 0.1), (0.84, 0.92)),
}
SKINS: tuple[Colour, ...] = (
    (255, 230, 214),
    (255, 222, 200),
    (252, 214, 188),
    (255, 226, 206),
    (246, 202, 172),
    (224, 174, 138),
    (184, 128, 96),
)
IRIS_HUES = (0.03, 0.08, 0.11, 0.33, 0.42, 0.5, 0.57, 0.62, 0.72, 0.78, 0.9, 0.98)


@dataclass(frozen=True)
class Look:
    """Colours, and how far the head is turned (-1 to 1, to the right is positive)."""

    hair: Colour
    skin: Colour
    iris: Colour
    yaw: float
    boyish: bool

    eye_y = 0.2

    def side(self, sign: int) -> tuple[float, float]:
        """x of the eye on one side (-1, 1), and how wide perspective leaves it."""
        x = sign * 0.45 * (1 - 0.06 * sign * self.yaw) + self.turn
        return x, 1 - 0.1 * max(0.0, sign * self.yaw)

    @cached_property
    def turn(self) -> float:
        """How far the features move as the head turns."""
        return self.yaw * 0.13

    @cached_property
    def hair_edge(self) -> Colour:
        """The line around hair."""
        return mix(self.hair, INK, 0.62)

    @cached_property
    def hair_dark(self) -> Colour:
        """Hair in shadow."""
        return mix(self.hair, INK, 0.32)

    @cached_property
    def hair_light(self) -> Colour:
        """Where hair shines."""
        return mix(self.hair, WHITE, 0.45)

    @cached_property
    def skin_edge(self) -> Colour:
        """The line around skin."""
        return mix(self.skin, (120, 50, 60), 0.62)

    @cached_property
    def skin_shade(self) -> Colour:
        """Skin in shadow."""
        return mix(self.skin, (206, 104, 112), 0.32)

    @cached_property
    def lash(self) -> Colour:
        """Lashes and brows: the hair's colour, much darker."""
        return mix(self.hair, INK, 0.8)


def roll_look(dice: Dice, hair: str) -> Look:
    """A look with hair of a named colour."""
    iris = hsv(dice.choice(IRIS_HUES) + dice.between(-0.02, 0.02), dice.between(0.55, 0.85), dice.between(0.65, 0.95))
    return Look(
        hair=hsv(*(dice.between(low, high) for low, high in HAIR[hair])),
        skin=mix(dice.choice(SKINS), dice.choice(SKINS), dice.between(0, 0.4)),
        iris=iris,
        yaw=dice.between(-1, 1),
        boyish=dice.chance(0.25),
    )
