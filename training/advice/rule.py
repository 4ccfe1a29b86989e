"""What a rule is, and how much it must see."""

from abc import ABC, abstractmethod

from wgan.training.advice.remedies import Remedy
from wgan.training.advice.signs import Signs

STABILITY = ("gradient", "unstable")  # while one of these shows, what else is seen may be its doing
FEW = (3, 200)  # validations, and steps that they span: fewer are chance, or a generator that has just begun
MANY = (6, 300)
RISE = 0.05  # of diversity or sharpness over a few validations: more is progress


class Rule(ABC):
    """A symptom. `shows` and `gone` leave a gap between them, so that noise at a threshold repeats nothing."""

    name: str
    yields_to: tuple[str, ...] = ()  # rules before it that explain more

    @abstractmethod
    def shows(self, signs: Signs) -> bool:
        """Whether the symptom is there, for a rule that has not spoken."""

    @abstractmethod
    def gone(self, signs: Signs) -> bool:
        """Whether it has gone, for a rule that has spoken."""

    @abstractmethod
    def says(self, signs: Signs) -> str:
        """What is seen, in one clause."""

    @abstractmethod
    def remedy(self, signs: Signs) -> Remedy:
        """The settings to try."""
