"""Rounds of `wgan train`: one process, struck several times, gone on with by `--resume` until it is done."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from fault_rounds import blow, disk
from fault_rounds.bench import Bench, files, left_over
from fault_rounds.blow import Blow, Reach
from fault_rounds.process import Ended
from fault_rounds.tally import CHECKPOINTS, CHECKPOINTS_LOST, DIFFERING, HALF, STUCK, Tally, differing, lines_differing
from wgan.serve.base.errors import CheckpointError
from wgan.training.records import checkpoint

KINDS = (blow.KILLED, blow.AT_FILE, blow.AT_FILE, blow.IN_WRITE, blow.IN_WRITE, blow.FULL, blow.TERMINATED,
         blow.INTERRUPTED, blow.TWICE)  # fmt: skip
SETTINGS = ("image_size=8", "base_channels=2", "latent_dim=4", "batch_size=4", "n_critic=1", "precision=fp32",
            "validate_images=16", "steps=10", "checkpoint_every=2", "log_every=3", "validate_every=4",
            "sample_every=5")  # fmt: skip
IMAGES, SIDE = 48, 8
KEPT = (2, 50)  # values of keep_checkpoints
BLOWS = 3  # times that a run is struck, at most
DONE = "has done its"  # what a command says that has nothing left to do
TIMED = ("seconds", "images_per_second")  # what no two runs have in common
GROWING = ("metrics.jsonl", "tensorboard/")  # written line by line, and so ends in half a line after a kill


class Training:
    """Runs on a few small images."""

    name = "training"
    kinds: tuple[str, ...] = KINDS

    def __init__(self, bench: Bench):
        self.bench = bench
        self.data = bench.root / "images"
        self.unbroken: dict[int, tuple[dict[str, bytes], Reach]] = {}

    def whole(self, kept: int) -> tuple[dict[str, bytes], Reach]:
        """The run's files that nothing befell and how far its command goes, made once."""
        if kept not in self.unbroken:
            if not self.data.is_dir():
                write_images(self.data)
            folder = self.bench.root / f"unbroken-{self.name}-{kept}"
            reach = self.bench.unbroken(self.words(folder, kept), folder)
            self.unbroken[kept] = files(folder / "run"), reach
        return self.unbroken[kept]

    def words(self, folder: Path, kept: int) -> list[str]:
        """Of the command: the first, or the one that goes on with what the run has."""
        if (folder / "run" / "config.yaml").is_file():
            return ["train", "--resume", "--run", "run", "--device", "cpu"]
        settings = (*SETTINGS, f"keep_checkpoints={kept}")
        return ["train", "--data", str(self.data), "--run", "run", "--device", "cpu", *settings]

    def round(self, random: Random, folder: Path) -> Tally:
        """One run, begun and struck several times, then gone on with until it is done; what was found."""
        kept = random.choice(KEPT)
        wanted, reach = self.whole(kept)
        check = Check(wanted, lambda: files(folder / "run"), kept)
        full = self.bench.mounts and random.random() < 0.15
        size = random.randrange(4096, int(1.2 * sum(reach.sizes)))
        with disk.small(folder, size) if full else nullcontext():
            if full:
                self.go(folder, kept, Blow(blow.NO_SPACE, length=size), check)
                disk.grow(folder)
            for time in range(random.randint(0 if full else 1, BLOWS)):
                if time == 0 or random.random() < 0.7:
                    self.go(folder, kept, reach.blow(random, self.kinds), check)
            if not check.done:
                self.go(folder, kept, None, check)
            if not check.done:
                check.tally.fault(STUCK, f"wgan {' '.join(self.words(folder, kept))}")
            for name in left_over(folder):
                check.tally.fault(HALF, f"{name} stays for good")
            return check.end()

    def go(self, folder: Path, kept: int, struck: Blow | None, check: "Check") -> None:
        """The command once, unless it is done."""
        if not check.done:
            check.ended(self.bench.run([self.bench.order(self.words(folder, kept), folder, struck)]))


def write_images(folder: Path) -> None:
    """Pictures of noise, always the same."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:03d}.png")


class Check:
    """Looks at a run whenever its process has ended: what has a name is whole, and what was saved stays."""

    def __init__(self, wanted: Mapping[str, bytes], there: Callable[[], dict[str, bytes]], kept: int):
        self.tally = Tally()
        self.wanted, self.there, self.kept = wanted, there, kept
        self.done = False
        self._saved: list[str] = []  # names of whole checkpoints, as they were last seen
        self._best = False
        self._told: set[str] = set()

    def ended(self, commands: list[Ended]) -> None:
        """Takes in how the command ended, and looks at what is there then."""
        (ended,) = commands
        self.done = ended.code == 0 or DONE in ended.last_line  # killed after its last line
        self.tally.ended(commands if not self.done or ended.code == 0 else [])
        self.look()

    def look(self) -> None:
        """Every checkpoint loads, none that was there and is not superseded is gone, and no other file is half."""
        found = self.there()
        steps = sorted(name for name in found if name.startswith("checkpoints/step-"))
        for name, content in found.items():
            if content == self.wanted.get(name) or name.startswith(GROWING) or name in self._told:
                continue
            if name.endswith(".damaged") or not whole(name, content):
                self._told.add(name)
                what = CHECKPOINTS_LOST if name.startswith("checkpoints/") else HALF
                self.tally.fault(what, f"{name} of {len(content):,} bytes is not whole")
        for name in self._saved:
            if name not in found and sum(each > name for each in steps) < self.kept and name not in self._told:
                self._told.add(name)
                self.tally.fault(CHECKPOINTS_LOST, f"{name} was there")
        best = "checkpoints/best.pt" in found
        if self._best and not best:
            self.tally.fault(CHECKPOINTS_LOST, "best.pt was there")
        self._saved, self._best = steps, best

    def end(self) -> Tally:
        """After the last: weights, optimisers, pictures and records are those of the unbroken run, to the bit."""
        found = self.there()
        self.tally.counts[CHECKPOINTS] += len(self._saved)
        for name, content in self.wanted.items():
            if name.startswith("tensorboard/") or name in ("report.html", "run.json", "timings.json"):
                continue  # times are in them
            if name not in found and self.kept < len(self._saved) + 1 and name in self._superseded():
                continue  # a stop has saved a step more, and so one fewer of these is kept
            number = self._differing(name, found.get(name, b""), content)
            if number:
                self.tally.fault(DIFFERING, f"{name}, {number:,} of them", number)
        return self.tally

    def _superseded(self) -> list[str]:
        return sorted(name for name in self.wanted if name.startswith("checkpoints/step-"))[:-1]

    def _differing(self, name: str, found: bytes, wanted: bytes) -> int:
        if name == "metrics.jsonl":
            return lines_differing(records(found), records(wanted))
        if name.endswith(".pt") and found != wanted:
            return lines_differing(state(found), state(wanted))
        return differing(found, wanted)


def records(content: bytes) -> list[str]:
    """The measured lines of a `metrics.jsonl`, without times; events tell of starts, which are not the same."""
    lines = []
    for line in content.splitlines():
        record: dict[str, Any] = json.loads(line)
        if record["kind"] != "event":
            lines.append(json.dumps({name: value for name, value in record.items() if name not in TIMED}))
    return lines


def whole(name: str, content: bytes) -> bool:
    """Whether a file of a run is one from its beginning to its end, as far as its kind shows."""
    ending = name.rpartition(".")[2]
    try:
        if ending == "pt":
            return loads(content)
        if ending == "png":
            with Image.open(io.BytesIO(content)) as image:
                image.load()
        elif ending == "json":
            json.loads(content)
        elif ending == "html":
            return content.rstrip().endswith(b"</html>")
    except (OSError, SyntaxError, ValueError):
        return False
    return bool(content)


def loads(content: bytes) -> bool:
    """Whether these bytes are a checkpoint that a run can go on from."""
    return bool(state(content))


def state(content: bytes) -> list[str]:
    """Every number of a checkpoint, a line each leaf, with the bits of tensors; nothing where it does not load.

    Of the same numbers the bytes of the file may be others: a run that went on has texts twice that it had once.
    """
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        Path(file.name).write_bytes(content)
        try:
            return sorted(leaves(checkpoint.load(Path(file.name))))
        except CheckpointError:
            return []


def leaves(value: Any, name: str = "") -> Iterator[str]:
    """A line for each leaf of nested dicts and lists."""
    if isinstance(value, dict | list | tuple):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, f"{name}/{key}")
    elif isinstance(value, torch.Tensor):
        bits = value.detach().contiguous().reshape(-1).view(torch.uint8) if value.dtype != torch.bool else value
        yield f"{name} {value.dtype} {tuple(value.shape)} {bytes(bits.numpy().tobytes()).hex()}"
    else:
        yield f"{name} {value!r}"
