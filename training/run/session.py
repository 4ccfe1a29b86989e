"""A run while it goes on: the trainer, the data's position, and what is saved of them."""

import json
import platform
from contextlib import nullcontext
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import PIL
import torch

from wgan.serve.base.address import is_address
from wgan.serve.base.errors import CheckpointError, TrainingError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.privacy import given_name, public_settings
from wgan.training.advice.remedies import lower
from wgan.training.config import Config, check_parts
from wgan.training.data.labels import shares_of
from wgan.training.data.of_run import nothing_transparent, open_data
from wgan.training.data.pick import pick
from wgan.training.data.same import check_same_images
from wgan.training.data.stream import BatchStream
from wgan.training.distributed import World
from wgan.training.distributed.launch import launch
from wgan.training.measures.inception import ProgressFn
from wgan.training.measures.validation import Validation
from wgan.training.networks import Generator, Stage, parameter_count
from wgan.training.records import checkpoint
from wgan.training.records.folder import RunFolder
from wgan.training.records.ways_on import anew, going_on
from wgan.training.run.best import SWD, Best
from wgan.training.run.changed_data import DataChange, check_classes
from wgan.training.run.periodic_features import PeriodicFeatureDistances
from wgan.training.run.pictures import Pictures, class_sizes
from wgan.training.run.rounding import rounds_otherwise
from wgan.training.run.shared import newest_checkpoint, start_from_others
from wgan.training.step.trainer import Trainer


class Session:
    """All that a step changes, and the files that outlive it. Of several processes the first one writes."""

    def __init__(self, run: RunFolder, config: Config, device: torch.device, cache: Path, world: World | None = None):
        self.run, self.config, self.device, self.world = run, config, device, world or World()
        check_parts(config, self.world.size)
        self.feature_distances = PeriodicFeatureDistances(config, device, active=self.world.first)
        # one decodes the images, the others find them decoded; from elsewhere each machine fetches them once
        with nullcontext() if is_address(config.data) else self.world.once_a_disk(cache):
            self.data, reference = open_data(config, cache)
        check_same_images(self.world, self.data, given_name(config.to_dict()) or self.data.name)
        self.reals = BatchStream(self.data, config.batch_size, config.seed, device, self.world)
        self.classes = self.data.classes if config.conditional else None
        shares: tuple[float, ...] = ()
        if self.classes is not None and self.data.labels is not None:
            shares = shares_of(self.data.labels, len(self.classes))
        self.feature_distances.prepare(self.data, cache, shares)
        self.trainer = Trainer(config, device, shares, self.world)
        labels = reference.labels if config.conditional else None
        self.validation = Validation(reference.images, labels, config, device)
        self.swd: float | None = None  # of the last validation
        self.swd_step: int | None = None  # that it was measured at
        self.pictures = Pictures(run, config, self.data, len(self.classes or ()))
        self.best = Best(self.feature_distances.measure or SWD, self.data.digest)
        self.data_change: DataChange | None = None  # that this start has accepted
        self.is_best = False  # this step's generator is the best so far, and not saved yet
        self._damaged: tuple[Path, ...] = ()

    @property
    def step(self) -> int:
        """Generator updates done."""
        return self.trainer.step

    def iterate(self) -> None:
        """One step of the loop."""
        self.trainer.iterate(self.reals)

    def begin(self) -> list[str]:
        """Starts from the weights of other runs where settings name some; lines that a person must know."""
        line = nothing_transparent(self.data)
        return [*start_from_others(self.trainer, self.world), *([] if line is None else [line])]

    def restore(self, *, accept: bool = False) -> list[str]:
        """Takes up the newest whole checkpoint of the run; a run killed before its first begins anew.

        Args:
            accept: go on with data that has changed since; its first sample is the next.

        Returns:
            Lines that say what of the run was found damaged or missing.

        Raises:
            CheckpointError: none is whole, or it belongs to other data and that was not accepted.
        """
        newest = newest_checkpoint(self.run.checkpoints, self.world)
        if newest is None:
            return []
        try:
            self._take_up(newest.state, accept)
            other = rounds_otherwise(newest.state.get("threads"), self._threads())
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            reason = shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
            raise CheckpointError(f"{newest.path} does not hold what a run goes on from: {reason}") from None
        self._damaged = newest.damaged
        idle = "data_changed=accept: the data has not changed" if accept and self.data_change is None else None
        return [*newest.told("going on from", done="set aside, "), *filter(None, (other, idle))]

    def _take_up(self, state: dict[str, Any], accept: bool) -> None:
        check_classes(state["classes"], self.classes, self.config, self.run)
        self.data_change = change = DataChange.of(self.run, state, self.data)
        if change is not None and not accept:
            raise change.refusal(self.config, self.run)
        self.trainer.load_state_dict(state)
        self.best.restore(state["best"], state["data"])
        scoring = state.get("scoring", {})
        if change is None:
            self.reals.restore(state["stream"])
            # figures that are measured again anyway: where another version keeps none, the run begins without
            self.swd, self.swd_step = state.get("swd"), state.get("swd_step")
        else:
            scoring = {**scoring, "last": None}  # it was measured against the data before
        self.feature_distances.restore(scoring)
        if self.world.first:
            self._keep_best()

    def _threads(self) -> dict[str, int] | None:
        """What the bits of a step and of the averaged generator depend on, on a CPU; on CUDA None."""
        if self.device.type != "cpu":
            return None
        return {"processes": self.world.size, "threads": torch.get_num_threads()}

    def _keep_best(self) -> None:
        """Marks a best that was saved and not marked. One beyond this step, whose own file was lost, stays the best."""
        later = checkpoint.load_best(self.run.checkpoints)
        if later is not None and later["step"] > self.step:
            self.best.restore(later["best"], later["data"])
        elif self.best.step is not None:
            checkpoint.mark_missed(checkpoint.step_path(self.run.checkpoints, self.best.step))

    def set_damaged_aside(self) -> None:
        """Renames the damaged files that `restore` skipped, once the run is sure to go on."""
        self.world.wait()  # until every process has read what it goes on from
        if self.world.first:
            for path in self._damaged:
                checkpoint.set_aside(path)
        self._damaged = ()

    def accept_data(self) -> None:
        """Makes what `restore` accepted last: from this checkpoint on it is the data of the run."""
        if self.data_change is not None:
            self.save()
            if self.world.first:
                self.run.keep_contents(self.data.contents)

    def save(self) -> Path:
        """Writes a checkpoint of this step, after making sure that it is a good one."""
        self.check_finite()
        self.trainer.watch.collect()
        path = checkpoint.step_path(self.run.checkpoints, self.step)
        if self.world.first:
            self._write(path)
        return path

    def _write(self, path: Path) -> None:
        checkpoint.save(
            path,
            {
                **self.trainer.state_dict(),
                "config": public_settings(self.config.to_dict()),
                "classes": list(self.classes) if self.classes else None,
                "data": self.data.digest,
                "threads": self._threads(),
                "stream": self.reals.state(),
                "swd": self.swd,
                "swd_step": self.swd_step,
                "scoring": self.feature_distances.state(),
                "best": self.best.state(),
            },
        )
        if self.is_best:
            checkpoint.mark_best(path)
            self.is_best = False
        checkpoint.prune(self.run.checkpoints, self.config.keep_checkpoints, path)

    def floor(self) -> dict[str, float]:
        """The distance of other training images to the same real ones: the lowest that a generator can reach."""
        others = pick(len(self.data.images), len(self.validation.reference), self.config.seed + 1)
        return self.validation.distance(np.asarray(self.data.images[others]))

    def validate(self, generator: Generator) -> dict[str, Any]:
        """The sliced Wasserstein distance, as a record; notes whether it is the smallest so far."""
        record = self.validation(generator)
        self.swd, self.swd_step = float(record["swd"]), self.step
        self.offer(generator, SWD, self.swd)
        return record

    def measure_features(self, generator: Generator, progress: ProgressFn) -> dict[str, Any] | None:
        """Feature distances as a record, None if stopped; notes whether the Fréchet distance is the smallest so far."""
        record = self.feature_distances(generator, progress)
        if record is not None and self.feature_distances.measure is not None:
            self.offer(generator, self.feature_distances.measure, self.feature_distances.distance)
        return record

    def offer(self, generator: Generator, measure: str, value: float) -> None:
        """Offers a value to `Best`, but not of an untrained generator or of one that has not grown to full size."""
        if self.step > 0 and generator.stage == Stage(self.config.image_size):
            self.is_best |= self.best.offer(measure, value, self.step)

    def check_finite(self) -> None:
        """Stops a run that has diverged, before anything of it is saved."""
        if not self.world.any(not self.trainer.finite()):
            return
        good = self.world.same(lambda: checkpoint.list_steps(self.run.checkpoints))
        rates = {name: f"{lower(getattr(self.config, name)):g}" for name in ("lr_g", "lr_d")}
        if good:
            rest, way = f"the last good checkpoint is {good[-1]}; go on from it", going_on(self.run, rates)
        else:
            rest, way = "there is no checkpoint yet; begin anew", anew(self.run, rates)
        raise TrainingError(
            f"a loss or weight is not finite at step {self.step}: {rest} with lower learning rates: `{way}`"
        )

    def describe(self) -> None:
        """Writes `run.json`, a grid of real images and, once a checkpoint is of them, the names of the images."""
        classes = self.data.classes
        info = {
            "name": self.run.path.name,
            "data": given_name(self.config.to_dict()) or self.data.name,
            "images": len(self.data.images),
            "broken": len(self.data.broken),
            "classes": list(classes) if classes else None,
            "class_images": class_sizes(self.data),
            "conditional": self.classes is not None,
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "launch": launch(),
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
        self.pictures.real()
        if self.data_change is None:
            self.run.keep_contents(self.data.contents)
