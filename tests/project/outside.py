"""Commands run as a user's shell would: in other environments than the one that the tests run in."""

import os
import subprocess
from pathlib import Path


def variables() -> dict[str, str]:
    """The environment's variables, without those that would let one Python see another's packages."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout
