"""How far a progressively growing pair of networks has come (Karras et al. 2018, section 2)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """The resolution that images have now, and how far its layers are faded in: alpha 1 is whole."""

    resolution: int
    alpha: float = 1.0

    @property
    def fading(self) -> bool:
        """Whether the resolution below still has a share."""
        return self.alpha < 1
