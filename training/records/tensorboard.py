"""Mirrors a run's records and sample grids into TensorBoard event files."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wgan.serve.base.errors import BackendUnavailable

_NOT_CURVES = {"step", "images", "real_images", "seconds"}


class TensorBoard:
    """Event files in ``folder``. If the disk refuses them, the run goes on without.

    Args:
        folder: where the event files go.
        purge_step: a resumed run hides this step and what lies beyond it.
        say: takes the one line of a disk that refuses; nothing is written after it.

    Raises:
        BackendUnavailable: the tensorboard package is not installed.
    """

    def __init__(self, folder: Path, *, purge_step: int | None = None, say: Callable[[str], object]):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise BackendUnavailable("TensorBoard is not installed", extra="train") from None
        self._folder, self._say = folder, say
        self._before = threading.excepthook
        threading.excepthook = self._of_a_thread  # the writer's thread would print a traceback
        self._writer: Any = None
        with self._while_the_disk_takes_it():
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def _of_a_thread(self, raised: threading.ExceptHookArgs) -> None:
        ours = type(raised.thread).__module__.startswith("tensorboard.")
        if not (ours and isinstance(raised.exc_value, OSError)):  # that is raised again where the next record comes
            self._before(raised)

    @contextmanager
    def _while_the_disk_takes_it(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            writer, self._writer = self._writer, None
            if writer is not None:
                with suppress(OSError):
                    writer.close()
            self._say(f"cannot write {self._folder}: {error.strerror or error}; going on without TensorBoard")

    def record(self, record: Mapping[str, Any]) -> None:
        """What a record of `metrics.jsonl` says: `train/wasserstein`, `validation/swd_levels/64`, …"""
        if self._writer is None:
            return
        with self._while_the_disk_takes_it():
            self._record(self._writer, record)

    @staticmethod
    def _record(writer: Any, record: Mapping[str, Any]) -> None:
        kind, step = record["kind"], record["step"]
        if kind == "event":
            writer.add_text("advice" if "rule" in record else "event", str(record["message"]), step)
            return
        for name, value in record.items():
            named = {f"{name}/{key}": item for key, item in value.items()} if isinstance(value, dict) else {}
            for tag, number in (named or {name: value}).items():
                if isinstance(number, int | float) and tag not in _NOT_CURVES:
                    writer.add_scalar(f"{kind}/{tag}", number, step)

    def image(self, tag: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        """One picture, uint8 (H, W, C)."""
        if self._writer is not None:
            with self._while_the_disk_takes_it():
                self._writer.add_image(tag, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is left and closes the files."""
        if self._writer is not None:
            with self._while_the_disk_takes_it():
                self._writer.close()
        threading.excepthook = self._before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
