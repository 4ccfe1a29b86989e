"""One run of `wgan sample` on an open generator: into one output, or into the shards that are not there yet."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts.find import run_name, typed
from wgan.serve.artifacts.origin import Origin
from wgan.serve.backends.base import Backend
from wgan.serve.base.address import Place
from wgan.serve.base.files import writing
from wgan.serve.base.progress import counter
from wgan.serve.base.streams import is_stream
from wgan.serve.base.terminal import counted
from wgan.serve.latents.sources import Source
from wgan.serve.outputs.base import Output
from wgan.serve.outputs.folder import FolderTaken, free_folder
from wgan.serve.outputs.kinds import kind_of
from wgan.serve.outputs.open import open_output
from wgan.serve.outputs.room import check_room, free, lacks, least
from wgan.serve.outputs.shards import Part, Shard, ShardSet
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

    @property
    def facts(self) -> dict[str, Any]:
        """All on which an image of a number depends, as a folder's manifest has it, and what the artifact is called."""
        source, classes = self.source, self.backend.metadata.classes
        precision = self.backend.metadata.precision
        facts: dict[str, Any] = {"model_sha256": self.backend.digest, "unit": source.unit, "precision": precision}
        facts |= {"label": self._label, **source.facts}
        if source.unit == "frame":
            facts["frames"] = source.count  # the images between depend on how many there are
        if classes is not None:
            facts["classes"] = list(classes)
        path = self.backend.path  # of which the manifest has names alone: the folder may be passed on
        origin = {} if self.origin is None else {"origin": str(self.origin)}
        return facts | {"model": Path(typed(path)).name, "run": run_name(path), **origin}

    @property
    def origin(self) -> Origin | None:
        """Which of its run's generators it is, where the artifact says so."""
        return Origin.of(self.backend.metadata.source)

    @property
    def _label(self) -> str | None:
        """The name of the class of every image; None where each has its own, or none."""
        classes = self.backend.metadata.classes
        return None if self.label is None or classes is None else classes[self.label]

    def whole(self, out: Place, format: str | None = None) -> Output:
        """Writes all images into one output, which it returns: closed, it knows where what lies.

        ``format``: as `outputs.kinds.kind_of` takes it. Where it raises WganError it leaves no half-written file.
        """
        source = self.source
        check_room(out, self._least(kind_of(out, format), source.count), counted(source.count, "image"))
        with self._open(out, source.first, source.count, format) as output, counter("sampling", speed=True) as progress:
            made = 0

            def done(count: int) -> None:
                nonlocal made
                made += count
                progress(made, source.count, "")

            self._fill(output, source.first, source.count, done)
        return output

    def in_own_folder(self, base: Path, say: Callable[[str], object]) -> Output:
        """`whole` into ``base``, or where others' images are there into `base-2` and so on, which ``say`` is told."""
        while True:
            try:
                return self.whole(free_folder(base, self.facts, say))
            except FolderTaken:  # by another process, after the look at it
                continue

    def shards(self, shards: ShardSet, part: Part, say: Callable[[str], None]) -> tuple[int, int, int]:
        """The shards of ``part`` that are not there yet: (images, shards, shards that were there).

        ``say`` is told of shards that are not whole, which are made anew. Raises WganError; shards that are
        whole by then stay, and the next run goes on after them.
        """
        missing = [shards[number] for number in self.claim(shards, part, say)]
        total, made = sum(shard.count for shard in missing), 0
        with counter("sampling", speed=True) as progress:

            def done(count: int) -> None:
                nonlocal made
                made += count
                progress(made, total, "")

            for shard in missing:
                self.shard(shard, done)
        return total, len(missing), len(shards.of(part)) - len(missing)

    def claim(self, shards: ShardSet, part: Part, say: Callable[[str], None]) -> list[int]:
        """Writes the manifest where there is none; the numbers of the shards of ``part`` that are not there or whole.

        ``say`` and errors: as in `shards`.
        """
        mine = {number: shards[number] for number in shards.of(part)}
        if mine and len(shards.present(mine)) < len(mine):
            shard = next(iter(mine.values()))
            images = counted(shard.count, "image")
            check_room(shard.path, self._least(kind_of(shard.path), shard.count), f"the {images} of a shard")
        shards.claim(self.shard_facts(shards))
        there, missing = shards.present(mine), []  # by now: another process may be at them
        for number, shard in mine.items():
            if number not in there or not shards.has(shard):
                missing.append(number)
                if number in there and not is_stream(shard.path):
                    say(f"{shard.path} is not whole: it is made anew")
        self._say_room([mine[number] for number in missing], say)
        return missing

    def shard_facts(self, shards: ShardSet) -> dict[str, Any]:
        """What a manifest says of what its shards are made of."""
        classes = self.backend.metadata.classes
        facts = {**self.text, "classes": None if classes is None else list(classes), "label": self._label}
        if self.backend.device == "cuda" and (provider := self.backend.provider) is not None:
            facts["provider"] = provider  # of ONNX Runtime, which has two there: not the same bits
        if classes is not None and shards.path.suffix.lower() == ".tar":
            facts["members"] = "png cls json"  # before there was a .cls the bytes were others
        return facts

    def shard(self, shard: Shard, done: Done) -> None:
        """Makes one shard, whole or not at all. Raises WganError."""
        with writing(shard.path):
            if isinstance(shard.path, Path) and shard.path.is_dir():  # else it would be taken for a folder of images
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with self._open(shard.path, shard.first, shard.count) as output:
            self._fill(output, shard.first, shard.count, done)

    def _say_room(self, missing: list[Shard], say: Callable[[str], None]) -> None:
        """``say`` is told where not all of these fit: no error, as they may be moved on while others are made."""
        if not missing:
            return
        place, total = missing[0].path, sum(shard.count for shard in missing)
        needed, there = self._least(kind_of(place), total), free(place)
        if there is not None and needed > there:
            say(f"{lacks(counted(len(missing), 'shard'), needed, there)}: they fit if they are moved on as they come")

    def _least(self, kind: str, count: int) -> int:
        image = self.backend.metadata.image
        shape = image.height, image.width, image.channels
        return least(kind, count, shape, self.backend.metadata.classes is not None)

    def _open(self, path: Place, first: int, count: int, format: str | None = None) -> Output:
        return open_output(
            path, count=count, first=first, text=self.text, unit=self.source.unit, facts=self.facts, format=format
        )

    def _fill(self, output: Output, first: int, count: int, done: Done) -> None:
        sampling = Sampling(
            self.backend, first, count, self.batch_size, self.label, rows=self.source.rows, shrink=self.shrink
        )
        for start, images, labels in sampling.batches():
            self.batch_size = sampling.batch_size
            output.write(start, images, labels)
            done(len(images))
