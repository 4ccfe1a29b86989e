"""One measurement of `wgan bench`, in a process of its own: only so are cold start, load and peak memory its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from wgan.serve.base.errors import BackendError
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.machine.gpu import memory_in_use

PATIENCE = 600.0  # seconds for one case


def run_apart(module: str, arguments: list[str], patience: float = PATIENCE) -> dict[str, Any]:
    """The JSON object that ``python -m module arguments`` prints last, with what this process sees of it.

    The child is given the time at which it was started, after its other arguments.

    Raises:
        BackendError: it ended otherwise; the text is the last line that it said.
    """
    command = [sys.executable, "-m", module, *arguments, repr(time.time())]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=patience,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BackendError(f"not done after {patience:.0f} s") from None
    try:
        result = parse_json(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        result = None
    if isinstance(result, dict) and "error" in result:
        raise BackendError(str(result["error"]))
    if done.returncode != 0 or not isinstance(result, dict):
        said = done.stderr.strip().splitlines()
        ended = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
        raise BackendError(f"{ended}: {said[-1][:200]}" if said else ended)
    return result


def device_memory(before: int) -> int | None:
    """How many bytes more are in use on the GPU than before; None where that is unknown or fewer are.

    Runtimes keep what they have once taken, so at the end of a case it is near the most.
    """
    now = memory_in_use()
    return None if now is None or now < before else now - before


def peak_memory() -> int | None:
    """The most memory that this process has had resident so far, bytes; None where it cannot be asked."""
    try:
        # not ru_maxrss: that of a child begins with what its parent had
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
