"""All that a run says while it goes on: records on disk, curves for TensorBoard, and the lines a person watches."""

import io
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from wgan.serve.base.privacy import public_line
from wgan.serve.base.terminal import messages
from wgan.training.advice import Adviser
from wgan.training.config import Config
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import History, read, seconds
from wgan.training.records.tensorboard import TensorBoard
from wgan.training.run.progress import Progress

SHOWN_BROKEN = 10  # files named on the terminal


class Journal:
    """A run's records from ``first_step`` on. A context manager. Of several processes only one is not ``silent``.

    Args:
        metrics: the run's metrics.jsonl.
        board: folder for TensorBoard.
        config: of the run: where it ends, and what advice on it can change.
        first_step: where it starts; what was recorded beyond it is dropped.
        silent: neither write nor print anything.
    """

    def __init__(self, metrics: Path, board: Path, config: Config, *, first_step: int, silent: bool = False):
        self._open = ExitStack()
        self._public = partial(public_line, run=metrics.parent, settings=config.to_dict())
        stream = io.StringIO() if silent else messages()
        self._history: History | None = None
        self._board: TensorBoard | None = None
        with ExitStack() as opening:  # what was opened before a failure is closed again
            if not silent:
                self._history = opening.enter_context(History(metrics))
                self._history.rewind(first_step or -1)  # a run that was killed at step 0 looks at it again
            self._progress = opening.enter_context(Progress(config.steps, first_step=first_step, stream=stream))
            if not silent:
                purge = first_step + 1 if first_step else None
                self._board = opening.enter_context(TensorBoard(board, purge_step=purge, say=self.note))
            self._open = opening.pop_all()
        past = [] if silent else read(metrics)
        self.seconds = seconds(past)  # that the run was trained for before
        self._adviser = Adviser(RunFolder(metrics.parent), config, past)

    def keep(self, record: dict[str, Any]) -> None:
        """Writes one record, and says and writes what advice it gives rise to. Records name no folders."""
        if self._history is None or self._board is None:
            return
        for each in (record, *self._adviser.see(record)):
            public = {**each, "message": self._public(each["message"])} if "message" in each else each
            self._history.append(public)
            self._board.record(public)
            if "rule" in each:
                self.note(f"advice at step {each['step']:,}: {each['message']}")

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """One picture, uint8 (H, W, C)."""
        if self._board is not None:
            self._board.image(tag, pixels, step)

    def note(self, text: str) -> None:
        """One line for whoever watches."""
        self._progress.note(text)

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Where the run is; ``values`` as in metrics.jsonl."""
        self._progress.update(step, values)

    def doing(self, done: int, total: int, what: str) -> None:
        """How far a measurement of the run is."""
        self._progress.doing(done, total, what)

    def note_broken(self, broken: tuple[str, ...], cache: Path) -> None:
        """Names the images that were skipped."""
        for reason in broken[:SHOWN_BROKEN]:
            self.note(f"skipped {reason}")
        if len(broken) > SHOWN_BROKEN:
            self.note(f"skipped {len(broken) - SHOWN_BROKEN:,} more: {cache}/*.broken.txt names them all")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._open.__exit__(*raised)
