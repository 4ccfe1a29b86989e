"""Pushes while training goes on: a thread, one push at a time, and the newest state wins.

What the thread has to say it leaves for the loop, which says it between two steps.
"""

import threading
from collections import deque
from types import TracebackType
from typing import Self

from wgan.serve.base.command import command
from wgan.serve.base.errors import ConfigError, OutputError, TrainingError, WganError
from wgan.serve.base.terminal import counted, detail, say
from wgan.training.mirror.push import Pusher, TakenOver
from wgan.training.records.mirrored import Mirror


class BucketMirror(Mirror):
    """The mirror of a run in object storage. A context manager, which pushes what is left where an error ends the run.

    Args:
        pusher: knows both places.
        begun: whether a run lies at the address already, which this start then takes over.
    """

    def __init__(self, pusher: Pusher, *, begun: bool):
        self._pusher, self._begun = pusher, begun
        self.address: str = str(pusher.address)
        self._lines: deque[str] = deque()
        self._failed: WganError | None = None  # why the last push failed
        self._broken: BaseException | None = None  # an error of the thread that is none of a user's
        self._refused: str | None = None
        self._wake = threading.Condition()
        self._wanted = self._last = False
        self._thread: threading.Thread | None = None

    @property
    def behind(self) -> bool:
        """Whether the folder has anything that does not lie at the address."""
        return self._pusher.behind

    def claim(self, keep: int) -> None:
        """Claims the address, and begins to push."""
        if not self._pusher.claim(create=not self._begun):
            raise ConfigError(f"another run has just begun at {self.address}: name another address")
        self._pusher.keep = keep
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Wakes the thread."""
        with self._wake:
            self._wanted = True
            self._wake.notify()

    def told(self) -> list[str]:
        """What the thread has to say. Raises what has ended it, if that is no user's to mend."""
        if self._broken is not None:
            raise self._broken
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        return lines

    def finish(self, step: int) -> str | None:
        """Waits for a last push."""
        address, folder = str(self._pusher.address), self._pusher.folder
        again = command("train", "--resume", "--run", address)
        if self._thread is not None:
            if not self.taken:
                say(f"pushing to {address}")
            self._end()
        for line in self.told():
            say(line)
        if self.taken:
            raise TrainingError(
                f"a later start trains {address} now: this one stopped at step {step:,}, which is saved in {folder}; "
                f"to go on here, from whichever is further: `{again}`"
            )
        if self._failed is not None:
            raise OutputError(
                f"{folder} is whole up to step {step:,} and could not be pushed: {self._failed}; "
                f"to push it later: `{again}`"
            )
        if self._pusher.held is not None:
            say(f"nothing was pushed over step {self._pusher.held:,}, which is in {address}: `{again}` goes on from it")
            return None
        return address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        if isinstance(error, WganError):  # what was saved before it
            self._end()
            if self._failed is not None:
                say(f"not everything was pushed: {self._failed}")
        elif error is not None:
            again = command("train", "--resume", "--run", str(self._pusher.address))
            say(f"not everything may have been pushed to {self.address}; to go on, and push it: `{again}`")

    def _end(self) -> None:
        """A last push, of everything; an interrupt leaves it."""
        assert self._thread is not None
        with self._wake:
            self._wanted = self._last = True
            self._wake.notify()
        while self._thread.is_alive():
            self._thread.join(0.2)
        self._thread = None

    def _work(self) -> None:
        while not self.taken:
            with self._wake:
                self._wake.wait_for(lambda: self._wanted)
                self._wanted, last = False, self._last
            try:
                self._push(last)
            except BaseException as error:  # told where the loop asks
                self._broken = error
                return
            if last:
                return

    def _push(self, last: bool) -> None:
        pusher = self._pusher
        try:
            written = pusher.push(last=last)
        except TakenOver:
            self.taken = True
        except WganError as error:
            if self._failed is None and not last:
                self._lines.append(f"not pushed: {error}; training goes on, and the next save is pushed again")
            self._failed = error
        else:
            if self._failed is not None and not last:
                self._lines.append(f"pushed to {self.address} again: everything that was saved is there")
            self._failed = None
            detail(f"pushed {counted(written, 'file')} to {self.address}")
            if pusher.refused is not None and self._refused is None:
                self._refused = pusher.refused
                self._lines.append(f"older checkpoints stay in {self.address}: {pusher.refused}")
