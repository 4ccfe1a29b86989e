"""One run of `wgan sample` on an open generator: into one output, or into the shards that are not there yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wgan.serve.backends.base import Backend
from wgan.serve.base.progress import counter
from wgan.serve.latents.sources import Source
from wgan.serve.outputs.base import Output
from wgan.serve.outputs.open import open_output
from wgan.serve.outputs.shards import Part, ShardSet
from wgan.serve.sampling.sampler import Sampling

Done = Callable[[int], None]  # is told how many more images are made


@dataclass
class Job:
    """Makes the images of ``source``, ``batch_size`` at a time, all of class ``label`` or, for None, each of its own.

    Where memory runs out ``batch_size`` becomes smaller, and stays so: what did not fit once is not tried again.
    """

    backend: Backend
    source: Source
    label: int | None
    batch_size: int
    shrink: Callable[[str], object] | None = None  # takes the line where memory runs out for a batch; else an error

    @property
    def text(self) -> dict[str, str]:
        """What an image's file says of its origin, except its number."""
        where = f"{self.backend.name} on {self.backend.device}"
        precision = self.backend.metadata.precision
        return {"model": self.backend.digest, "backend": where, "precision": precision, **self.source.facts}

    def whole(self, out: Path) -> None:
        """Writes all images into one output. Where it raises WganError it leaves no half-written file."""
        source = self.source
        with self._open(out, source.first, source.count) as output, counter("sampling", speed=True) as progress:
            made = 0

            def done(count: int) -> None:
                nonlocal made
                made += count
                progress(made, source.count, "")

            self._fill(output, source.first, source.count, done)

    def shards(self, shards: ShardSet, part: Part, say: Callable[[str], None]) -> tuple[int, int, int]:
        """The shards of ``part`` that are not there yet: (images, shards, shards that were there).

        ``say`` is told of shards that are not whole, which are made anew. Raises WganError; shards that are
        whole by then stay, and the next run goes on after them.
        """
        classes = self.backend.metadata.classes
        label = None if self.label is None or classes is None else classes[self.label]
        facts = {**self.text, "classes": None if classes is None else list(classes), "label": label}
        if self.backend.device == "cuda" and (provider := self.backend.provider) is not None:
            facts["provider"] = provider  # of ONNX Runtime, which has two there: not the same bits
        shards.claim(facts)
        mine = [shards[number] for number in shards.of(part)]
        missing = []
        for shard in mine:
            if not shards.has(shard):
                missing.append(shard)
                if shard.path.exists():
                    say(f"{shard.path} is not whole: it is made anew")
        total, made = sum(shard.count for shard in missing), 0
        with counter("sampling", speed=True) as progress:

            def done(count: int) -> None:
                nonlocal made
                made += count
                progress(made, total, "")

            for shard in missing:
                with self._open(shard.path, shard.first, shard.count) as output:
                    self._fill(output, shard.first, shard.count, done)
        return total, len(missing), len(mine) - len(missing)

    def _open(self, path: Path, first: int, count: int) -> Output:
        return open_output(path, count=count, first=first, text=self.text, unit=self.source.unit)

    def _fill(self, output: Output, first: int, count: int, done: Done) -> None:
        sampling = Sampling(
            self.backend, first, count, self.batch_size, self.label, rows=self.source.rows, shrink=self.shrink
        )
        for start, images, labels in sampling.batches():
            self.batch_size = sampling.batch_size
            output.write(start, images, labels)
            done(len(images))
