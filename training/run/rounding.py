"""Whether a run that goes on stays the same to the bit."""

from wgan.serve.base.terminal import counted
from wgan.serve.machine.cores import restricted


def rounds_otherwise(saved: dict[str, int] | None, now: dict[str, int] | None) -> str | None:
    """A line for a run that goes on with another number of threads than before; None where results stay the same.

    Another number of processes is for the user to know of, and earlier checkpoints do not say.
    """
    if saved is None or now is None or saved["processes"] != now["processes"] or saved["threads"] == now["threads"]:
        return None
    wanted, cores = int(saved["threads"]), restricted()
    way = f"OMP_NUM_THREADS={wanted}" if cores is None or wanted <= cores else counted(wanted, "core")
    return (
        f"goes on with {counted(now['threads'], 'thread')}, was saved with {wanted}: the same up to rounding, "
        f"but not to the bit; for that start it with {way}"
    )
