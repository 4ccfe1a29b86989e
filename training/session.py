"""A run while it goes on: the trainer, the data's position, and what is saved of them."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from wgan.serve.errors import CheckpointError, DatasetError, TrainingError
from wgan.serve.files import atomic_write
from wgan.serve.images import encode_png, grid
from wgan.serve.progress import counter
from wgan.training import checkpoint
from wgan.training.best import SWD, Best
from wgan.training.config import Config
from wgan.training.data import ImageSet, held_out, open_images
from wgan.training.data.stream import BatchStream
from wgan.training.inception import ProgressFn
from wgan.training.networks import Generator, parameter_count
from wgan.training.run import RunFolder
from wgan.training.scoring import Scoring
from wgan.training.trainer import Trainer
from wgan.training.validation import GRID, Validation, generate, pick


def open_data(config: Config, cache: Path) -> tuple[ImageSet, np.ndarray]:
    """The training images, and the real images that validation compares with.

    Faces are held out for that; of a user's own images none is kept from training, so there the
    reference is drawn from the training images.
    """
    options: dict[str, Any] = {
        "image_size": config.image_size,
        "channels": config.channels,
        "cache_dir": cache,
    }
    with counter() as progress:
        images = open_images(
            config.data,
            fit=config.fit,
            max_broken_share=config.max_broken,
            count_faces=config.faces_count,
            progress=progress,
            **options,
        )
        unseen = held_out(config.data, count=config.validate_images, progress=progress, **options)
    if len(images.images) < config.batch_size:
        raise DatasetError(
            f"{config.data} has {len(images.images)} usable images, fewer than one batch of "
            f"{config.batch_size}: add images or lower batch_size"
        )
    reference = unseen.images if unseen is not None else pick(images.images, config.validate_images, config.seed)
    return images, np.asarray(reference)


class Session:
    """All that a step changes, and the files that outlive it."""

    def __init__(self, run: RunFolder, config: Config, device: torch.device, cache: Path):
        self.run, self.config, self.device = run, config, device
        self.scoring = Scoring(config, device)
        self.data, reference = open_data(config, cache)
        self.scoring.prepare(self.data, cache)
        self.reals = BatchStream(self.data, batch_size=config.batch_size, seed=config.seed, device=device)
        self.trainer = Trainer(config, device)
        self._validation = Validation(reference, config.latent_dim, device)
        self.swd: float | None = None  # of the last validation
        self.best = Best(self.scoring.measure or SWD)
        self.is_best = False  # this step's generator is the best so far, and not saved yet

    @property
    def step(self) -> int:
        """Generator updates done."""
        return self.trainer.step

    def iterate(self) -> None:
        """One step of the loop."""
        self.trainer.iterate(self.reals)

    def restore(self) -> None:
        """Takes up the newest whole checkpoint of the run; a run killed before its first begins anew.

        Raises:
            CheckpointError: none is whole, or it belongs to other data.
        """
        if not checkpoint.list_steps(self.run.checkpoints):
            return
        path, state = checkpoint.load_last(self.run.checkpoints)
        if state["data"] != self.data.digest:
            raise CheckpointError(f"{self.config.data} is not the data that {path} was trained on: start a new run")
        self.trainer.load_state_dict(state)
        self.reals.restore(state["stream"])
        self.swd = state["swd"]
        self.scoring.restore(state["scoring"])
        self.best.restore(state["best"])

    def save(self) -> Path:
        """Writes a checkpoint of this step, after making sure that it is a good one."""
        self.check_finite()
        path = checkpoint.step_path(self.run.checkpoints, self.step)
        checkpoint.save(
            path,
            {
                **self.trainer.state_dict(),
                "config": self.config.to_dict(),
                "data": self.data.digest,
                "stream": self.reals.state(),
                "swd": self.swd,
                "scoring": self.scoring.state(),
                "best": self.best.state(),
            },
        )
        if self.is_best:
            checkpoint.mark_best(path)
            self.is_best = False
        checkpoint.prune(self.run.checkpoints, self.config.keep_checkpoints)
        return path

    def floor(self) -> dict[str, float]:
        """The distance of other training images to the same real ones: what no generator can be below."""
        others = pick(self.data.images, len(self._validation.reference), self.config.seed + 1)
        return self._validation.distance(others)

    def validate(self, generator: Generator) -> dict[str, Any]:
        """The distance to real images, as a record; notes whether it is the smallest so far."""
        found = self._validation(generator)
        self.swd = float(found["swd"])
        self.is_best |= self.best.offer(SWD, self.swd)
        return found

    def score(self, generator: Generator, progress: ProgressFn) -> dict[str, Any] | None:
        """FID and its like as a record, None if stopped; notes whether the distance is the smallest so far."""
        found = self.scoring(generator, progress)
        if found is not None and self.scoring.measure is not None:
            self.is_best |= self.best.offer(self.scoring.measure, self.scoring.distance)
        return found

    def check_finite(self) -> None:
        """Stops a run that has diverged, before anything of it is saved."""
        if self.trainer.finite():
            return
        good = checkpoint.list_steps(self.run.checkpoints)
        rest = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
        raise TrainingError(
            f"a loss or weight is not finite at step {self.step}: {rest}; "
            "go on with --resume and a lower lr_g and lr_d (section 7.1: half of them), or a larger n_critic"
        )

    def sample_grid(self, generator: Generator) -> np.ndarray:
        """Writes the grid of seeds 0 to 63, and returns it as uint8 (H, W, C)."""
        picture = grid(generate(generator, 0, GRID, self.config.latent_dim, self.device))
        path = self.run.samples / f"step-{self.step:08d}.png"
        atomic_write(path, encode_png(picture, {"seeds": f"0..{GRID - 1}", "step": str(self.step)}))
        return picture

    def describe(self) -> None:
        """Writes `run.json` and a grid of real images."""
        classes = self.data.classes
        info = {
            "name": self.run.path.name,
            "data": self.data.name,
            "images": len(self.data.images),
            "broken": len(self.data.broken),
            "classes": list(classes) if classes else None,
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "parameters": {
                "generator": parameter_count(self.trainer.generator),
                "critic": parameter_count(self.trainer.critic),
            },
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "pillow": PIL.__version__,
            },
        }
        atomic_write(self.run.info, json.dumps(info, indent=1).encode())
        real = pick(self.data.images, GRID, self.config.seed)
        atomic_write(self.run.samples / "real.png", encode_png(grid(real), {}))
