"""Colours as settings write them: a name of CSS, or `#rrggbb`."""

import re

from PIL import ImageColor

WHITE = "white"


def not_a_colour(text: str) -> str | None:
    """Why the text is no colour, and what one is; None where it is one."""
    if text.lower() in ImageColor.colormap or re.fullmatch("#[0-9a-fA-F]{6}", text):
        return None
    return "is no colour: give a name such as white, black or steelblue, or #rrggbb"


def rgb(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255 each, of a text that `not_a_colour` has nothing against."""
    red, green, blue = ImageColor.getrgb(text)[:3]
    return red, green, blue
