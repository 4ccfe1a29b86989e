"""What `wgan sample` was asked for; options that contradict each other are refused before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wgan.serve.backends.base import Backend
from wgan.serve.base.address import Place
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.streams import is_stream
from wgan.serve.latents.sources import Source, between, from_file, from_table, open_file
from wgan.serve.latents.table import SEEDS
from wgan.serve.latents.truncation import KINDS, Truncation
from wgan.serve.outputs.shards import Part, ShardSet
from wgan.serve.sampling.sampler import class_number, labels_for

STEPS = 32  # of an interpolation


@dataclass(frozen=True)
class Request:
    """The options that decide which images are made and in which files; None where one was not given.

    Raises:
        ConfigError: a value out of its range, or options that exclude each other.
    """

    n: int | None = None
    seed: int | None = None
    label: str | None = None
    truncation: float | None = None
    truncation_kind: str | None = None
    latents: Path | None = None
    interpolate: tuple[int, int] | None = None
    steps: int | None = None
    shard_size: int | None = None
    shard: str | None = None
    seeds: tuple[int, ...] | None = None  # that need not follow one another: over HTTP alone

    def __post_init__(self) -> None:
        if self.latents is not None:
            given = {"--seed": self.seed, "--truncation": self.truncation, "--interpolate": self.interpolate}
            self._alone("--latents", given, "its rows are taken as they are, numbered from 0")
        if self.seeds is not None:
            given = {"--seed": self.seed, "-n": self.n, "--interpolate": self.interpolate}
            self._alone("--seeds", given, "they say which images, and how many")
            if not self.seeds or not 0 <= min(self.seeds) <= max(self.seeds) < SEEDS:
                raise ConfigError("--seeds must be seeds, from 0 to 2^63 - 1, at least one of them")
        if self.interpolate is not None:
            others = {"-n": self.n, "--seed": self.seed, "--shard-size": self.shard_size, "--shard": self.shard}
            self._alone("--interpolate", others, "--steps says how many images, A and B which seeds")
            for end in self.interpolate:
                if not 0 <= end < SEEDS:
                    raise ConfigError(f"--interpolate {end} is outside its range, 0 to 2^63 - 1")
        elif self.steps is not None:
            raise ConfigError("--steps needs --interpolate A B; for a number of images use -n")
        if self.steps is not None and not 2 <= self.steps <= 10**6:
            raise ConfigError(f"--steps {self.steps} is outside its range, 2 to 1,000,000")
        if all(given is None for given in (self.n, self.seeds, self.latents, self.interpolate)):
            way = or_again("-n", 64, of=("sample",))
            raise ConfigError(f"say how many images: {way}; or which, with --latents FILE.npy or --interpolate A B")
        if self.n is not None and self.n < 1:
            raise ConfigError(f"-n {self.n} is not at least 1")
        if self.n is not None and self.n > SEEDS:
            raise ConfigError(f"-n {self.n} is more than there are seeds, 2^63")
        if not 0 <= (self.seed or 0) <= SEEDS - (self.n or 0):
            raise ConfigError(f"--seed {self.seed} is outside its range, 0 to 2^63 - n")
        if self.truncation is None and self.truncation_kind is not None:
            raise ConfigError(f"--truncation-kind {self.truncation_kind} needs --truncation T")
        if self.shard is not None and self.shard_size is None:
            raise ConfigError(f"--shard {self.shard} needs --shard-size S, the number of images in a shard")
        if self.shard_size is not None and self.shard_size < 1:
            raise ConfigError(f"--shard-size {self.shard_size} is not at least 1")
        # what these refuse, they refuse now
        _ = self.truncated, self.part
        if self.latents is not None and not is_stream(self.latents):  # which is read once
            open_file(self.latents)

    @staticmethod
    def _alone(option: str, others: Mapping[str, object], why: str) -> None:
        for other, value in others.items():
            if value is not None:
                raise ConfigError(f"{option} excludes {other}: {why}")

    @property
    def truncated(self) -> Truncation | None:
        """The truncation, if any."""
        return None if self.truncation is None else Truncation(self.truncation, self.truncation_kind or KINDS[0])

    @property
    def part(self) -> Part:
        """Which machine of how many this is."""
        return Part() if self.shard is None else Part.parse(self.shard)

    def source(self, backend: Backend) -> Source:
        """The latents, for this generator. Raises ConfigError where a file's do not fit it."""
        dim = backend.metadata.latent.dim
        if self.latents is not None:
            return from_file(self.latents, dim, self.n)
        if self.interpolate is not None:
            return between(dim, *self.interpolate, self.steps or STEPS, self.truncated)
        assert self.n is not None
        return from_table(dim, self.seed or 0, self.n, self.truncated)

    def class_of(self, backend: Backend) -> int | None:
        """The class of every image, or None where each has its own; an interpolation has the class of seed A.

        Raises ConfigError for a label that the generator does not know.
        """
        number = class_number(backend, self.label)
        if number is None and self.interpolate is not None:
            labels = labels_for(backend, self.interpolate[0], 1, None)
            return None if labels is None else int(labels[0])
        return number

    def shards(self, out: Place, source: Source) -> ShardSet | None:
        """The files of a large set, if shards were asked for. Raises ConfigError for an ending without shards."""
        if self.shard_size is None:
            return None
        return ShardSet(out, source.first, source.count, self.shard_size, source.unit)
