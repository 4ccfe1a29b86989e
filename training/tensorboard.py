"""Mirrors a run's records and sample grids into TensorBoard event files."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wgan.serve.errors import BackendUnavailable

_NOT_CURVES = {"step", "images", "real_images", "seconds"}


class TensorBoard:
    """Event files in ``folder``. ``purge_step``: a resumed run hides this step and what lies beyond it.

    Raises:
        BackendUnavailable: the tensorboard package is not installed.
    """

    def __init__(self, folder: Path, *, purge_step: int | None = None):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise BackendUnavailable("TensorBoard is not installed", extra="train") from None
        self._writer: Any = SummaryWriter(str(folder), purge_step=purge_step)

    def record(self, record: Mapping[str, Any]) -> None:
        """What a record of `metrics.jsonl` says: `train/wasserstein`, `validation/swd_levels/64`, …"""
        kind, step = record["kind"], record["step"]
        if kind == "event":
            self._writer.add_text("advice" if "rule" in record else "event", str(record["message"]), step)
            return
        for name, value in record.items():
            named = {f"{name}/{key}": item for key, item in value.items()} if isinstance(value, dict) else {}
            for tag, number in (named or {name: value}).items():
                if isinstance(number, int | float) and tag not in _NOT_CURVES:
                    self._writer.add_scalar(f"{kind}/{tag}", number, step)

    def image(self, tag: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        """One picture, uint8 (H, W, C)."""
        self._writer.add_image(tag, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is left and closes the files."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
