"""How many cores this process may use: a container or `taskset` may leave fewer than the machine has.

Runtimes ask the machine. Where that says 64 and the container's quota is 2, 64 threads wait for each other.
"""

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

_share: int | None = None  # of this machine's cores, where other processes of ours have the others


def take(cores: int | None) -> None:
    """Lets this process use so many cores at most; None: all that it may. Others of ours then have the others."""
    global _share
    _share = cores


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process may be scheduled on, or fewer: by its control groups' quota, or by `take`."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    bounds = [cores, *(math.ceil(bound) for bound in (_quota(root), _share) if bound is not None)]
    return max(1, min(bounds))


def physical_cores(root: Path = Path("/")) -> int:
    """`usable_cores`, with the two threads of a core counted once: in matrix products one of them keeps it busy."""
    usable, affinity = usable_cores(root), getattr(os, "sched_getaffinity", None)
    if affinity is None:
        return usable
    topologies = (root / f"sys/devices/system/cpu/cpu{number}/topology" for number in affinity(0))
    try:
        return min(usable, len({(topology / "thread_siblings_list").read_text() for topology in topologies}))
    except OSError:
        return usable


def restricted() -> int | None:
    """`usable_cores` where they are fewer than the machine's: then a runtime must be told."""
    cores = usable_cores()
    return cores if cores < (os.cpu_count() or 1) else None


def spin_briefly(environment: MutableMapping[str, str] | None = None) -> None:
    """Lets OpenMP's threads spin for microseconds where they wait for each other, and then sleep.

    Their default spins for milliseconds: beside another busy program that takes the time of the threads waited for.
    Only before torch is loaded; what the user has set in the ``environment`` stays.
    """
    environment = os.environ if environment is None else environment
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "2000"


def _quota(root: Path) -> float | None:
    """The smallest quota of this process's control group and those around it, in cores; None without any."""
    quotas = []
    for group in control_groups(root):
        try:
            if (group / "cpu.max").exists():  # version 2: "QUOTA PERIOD", microseconds, or "max PERIOD"
                quota, period = (group / "cpu.max").read_text().split()
            else:  # version 1: -1 for none
                quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if quota != "max" and int(quota) > 0 and int(period) > 0:
                quotas.append(int(quota) / int(period))
        except (OSError, ValueError):
            continue
    return min(quotas, default=None)


def control_groups(root: Path) -> list[Path]:
    """The control group's folder and those above it, of both versions. A container sees its own as the topmost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return []
    groups = []
    for _, _, rest in (line.partition(":") for line in lines):  # "NUMBER:CONTROLLERS:PATH"
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        tops = (
            [root / "sys/fs/cgroup"]
            if not controllers
            else [root / "sys/fs/cgroup/cpu", root / "sys/fs/cgroup" / controllers]
        )
        for top in tops:
            here = top / path.strip("/")
            groups += [folder for folder in (here, *here.parents) if folder.is_relative_to(top)]
    return groups
