"""Commands run as a user's shell would: in other environments than the one that the tests run in."""

import os
import subprocess
from pathlib import Path


def run(*command: str | Path, cwd: Path | None = None) -> str:
    # PYTHONPATH would let one environment see another's packages.
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout
