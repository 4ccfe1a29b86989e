"""The last lines of a command: what to run next, whole, so that it can be pasted."""

from pathlib import Path
from typing import TYPE_CHECKING

from wgan.serve.base.command import Word, command
from wgan.serve.base.errors import WganError
from wgan.serve.base.terminal import say

if TYPE_CHECKING:
    from wgan.serve.artifacts.metadata import Metadata


def onward(as_json: bool, *commands: str) -> None:
    """Says on stderr which commands come next; nothing beside JSON, which a program reads, or while `quiet` is open."""
    for line in () if as_json else commands:
        say(f"next: {line}")


def tensorboard(run: Path) -> str:
    """The command that shows a run's curves while it goes on and afterwards."""
    import shlex

    return shlex.join(["tensorboard", "--logdir", str(run / "tensorboard")])


def static_server(folder: Path) -> str:
    """The command that serves an exported page on this machine alone."""
    import shlex

    return shlex.join(["python", "-m", "http.server", "-b", "127.0.0.1", "-d", str(folder)])


def with_run(run: Path | str, *words: Word) -> str:
    """A command for the run; its folder is left out where the newest run, which a command takes anyway, is meant.

    ``run``: the folder, or the address of its mirror.
    """
    from wgan.serve.artifacts.find import newest_run

    if isinstance(run, str):
        return command(*words, "--run", run)
    try:
        same = newest_run().resolve() == run.resolve()
    except WganError:
        same = False
    return command(*words, *(() if same else ("--run", run)))


def with_model(path: Path | str, kind: str, *words: Word) -> str:
    """A command for an artifact or checkpoint that the backend ``kind`` runs, without what the command takes anyway.

    ``path``: an address is text.
    """
    from wgan.serve.artifacts.find import BUILT_IN, DEFAULT, built_in, find_artifact

    if isinstance(path, str):
        return command(*words, "--model", path)
    if path.resolve() == built_in().resolve():
        return command(*words, "--model", BUILT_IN)
    backend = () if kind == DEFAULT else ("--backend", kind)
    try:
        if find_artifact(None, None, kind)[0].resolve() == path.resolve():
            return command(*words, *backend)
    except WganError:
        pass
    return command(*words, "--model", path)


def after_images(path: Path, kind: str, metadata: "Metadata") -> str:
    """The command that follows images of a file: a changed one is not timed before it is an artifact again."""
    if metadata.edited is not None and metadata.parity is None:
        return command("verify", "--adopt", "--model", path)
    return with_model(path, kind, "bench")
