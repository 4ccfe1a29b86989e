"""What the server counts of itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wgan.serve.http.model import Model


class Metrics:
    """Counters and histograms."""

    def batch(self, images: int, waited: Sequence[float], inference: float, encoding: float) -> None:
        """A batch was made: its size, and seconds in the queue (of each request), in the runtime and in the encoder."""

    def refused(self, reason: str) -> None:
        """A request got no images."""

    def model(self, model: "Model") -> None:
        """This generator is served from now on."""
