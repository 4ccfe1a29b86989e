"""Which images a request asks for: their numbers, classes and latents, of a given generator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.serve.backends.base import Backend
from wgan.serve.http.queue.wanted import Labels, Wanted
from wgan.serve.latents.sources import Source
from wgan.serve.latents.truncation import Truncation
from wgan.serve.sampling.request import Request
from wgan.serve.sampling.sampler import labels_of


@dataclass(frozen=True, eq=False)
class Chosen:
    """N images.

    Args:
        numbers: int64 (N,): seeds, or frames from 0.
        labels: int64 (N,), or None where the generator has no classes.
        truncation: of the table's rows.
        frames: the latents, where the numbers are no seeds.
        facts: what else the images depend on, as files say it.
    """

    numbers: NDArray[np.int64]
    labels: Labels | None = None
    truncation: Truncation | None = None
    frames: Source | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """N."""
        return len(self.numbers)

    @property
    def unit(self) -> str:
        """What is numbered."""
        return "seed" if self.frames is None else "frame"

    def part(self, start: int, end: int) -> Wanted:
        """The images from one place up to another, ready for a batch."""
        labels = None if self.labels is None else self.labels[start:end]
        if self.frames is not None:
            return Wanted(end - start, z=self.frames.rows(start, end - start), labels=labels, pixels=True)
        return Wanted(end - start, self.numbers[start:end], labels=labels, truncation=self.truncation, pixels=True)

    @property
    def canonical(self) -> list[Any]:
        """All that the images depend on beside the generator, in one form for all that asks for the same."""
        labels = None if self.labels is None else self.labels.tolist()
        return [self.unit, self.numbers.tolist(), labels, dict(self.facts)]


def choose(request: Request, backend: Backend) -> Chosen:
    """What ``request``, which names seeds or two ends of a way, asks of this generator.

    On the way between two seeds latents are computed here: a hundredth of a second, and a tenth where a truncation is
    new. Raises ConfigError for a label that the generator does not know.
    """
    label = request.class_of(backend)
    if request.interpolate is not None:
        source = request.source(backend)
        numbers = np.arange(source.count)
        return Chosen(numbers, labels_of(backend, numbers, label), frames=source, facts=source.facts)
    # added to the first one, as 2^63 itself is no int64
    numbers = np.array(request.seeds, np.int64) if request.seeds else (request.seed or 0) + np.arange(request.n or 0)
    truncation = request.truncated
    facts = {} if truncation is None else {"truncation": str(truncation)}
    return Chosen(numbers, labels_of(backend, numbers, label), truncation, facts=facts)
