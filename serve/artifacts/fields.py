"""Fields of JSON that anybody may have written, each checked before it is taken."""

import reprlib
from collections.abc import Mapping
from typing import Any

from wgan.serve.base.errors import ArtifactError


def is_number(value: object, low: float, high: float) -> bool:
    """Whether it is a number, and within these bounds."""
    # a truth value is an int to Python; NaN compares false
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


class Reader:
    """Takes fields out of untrusted JSON. Each method raises ArtifactError where the field is not what it names."""

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str = ""):
        self.values, self.where, self.prefix = values, where, prefix

    def bad(self, name: str, wanted: str) -> ArtifactError:
        """What is raised: which field, what it holds, what it must hold."""
        shown = reprlib.repr(self.values.get(name))[:40]  # repr itself ends at a depth that JSON may have
        return ArtifactError(
            f"{self.where}: metadata field {self.prefix}{name} is {shown}, not {wanted}: export it again"
        )

    def table(self, name: str) -> "Reader":
        """The fields of an object."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        return Reader(value, self.where, f"{self.prefix}{name}.")

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number within these bounds."""
        value = self.values.get(name)
        if type(value) is not int or not low <= value <= high:
            raise self.bad(name, f"a whole number from {low} to {high}")
        return value

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """One of the known words."""
        value = self.values.get(name)
        if not isinstance(value, str) or value not in known:
            raise self.bad(name, f"one of {', '.join(known)}")
        return value

    def pair(self, name: str, wanted: tuple[float, float]) -> None:
        """Nothing but these two numbers."""
        value = self.values.get(name)
        if not isinstance(value, list) or value != list(wanted) or any(isinstance(item, bool) for item in value):
            raise self.bad(name, str(list(wanted)))

    def text(self, name: str, length: int) -> str:
        """Text of exactly this length."""
        value = self.values.get(name)
        if not isinstance(value, str) or len(value) != length:
            raise self.bad(name, f"text of {length} characters")
        return value

    def names(self, name: str) -> tuple[str, ...] | None:
        """A list of names, or nothing."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.bad(name, "a list of names")
        return tuple(value)

    def optional_mapping(self, name: str) -> Mapping[str, Any] | None:
        """An object whatever it holds, or nothing."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.bad(name, "an object")
        return value

    def optional_number(self, name: str, low: float, high: float) -> None:
        """A number within these bounds, or nothing."""
        value = self.values.get(name)
        if value is not None and not is_number(value, low, high):
            raise self.bad(name, f"a number from {low:g} to {high:g}")

    def optional_truth(self, name: str) -> None:
        """True, false or nothing."""
        if not isinstance(self.values.get(name), bool | None):
            raise self.bad(name, "true, false or null")

    def optional_text(self, name: str, length: int) -> None:
        """Text of at most this length, or nothing."""
        value = self.values.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= length):
            raise self.bad(name, f"text of at most {length} characters")
