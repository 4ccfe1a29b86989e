"""The command that starts a Triton server on a repository."""

import os
import shlex
from pathlib import Path

from wgan.export.formats.triton.settings import Settings

POLL = 5  # seconds between two looks for a new version
SPARE = 30  # seconds for what a request does after it has waited


def run_line(repository: Path, settings: Settings) -> str:
    """A whole command: it loads new versions as they come, and ends when the requests that it took are answered.

    Triton itself listens on every address of the machine: this one on the machine's own.
    """
    words: list[str | os.PathLike[str]] = [
        "tritonserver",
        f"--model-repository={repository}",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--model-control-mode=poll",
        f"--repository-poll-secs={POLL}",
        f"--exit-timeout-secs={round(settings.wait) + SPARE}",
    ]
    quiet = "ORT_DISABLE_TELEMETRY=1 " if settings.backend == "onnxruntime" else ""
    return quiet + shlex.join(map(str, words))
