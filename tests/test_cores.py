"""A process takes the cores that it was given, whatever the machine has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wgan.serve.machine.cores import physical_cores, spin_briefly, usable_cores


def cgroups(root: Path, membership: str | None, files: dict[str, str]) -> Path:
    """A root whose control groups are ``files``."""
    contents = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    if membership is not None:
        contents["proc/self/cgroup"] = membership
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def version_1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        (None, {}, 64),
        ("0::/\n", {}, 64),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "what is this\n"}, 64),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),  # of the group around it
        ("4:cpu,cpuacct:/x\n", version_1("cpu/x", 400_000), 4),
        ("4:cpu,cpuacct:/docker/x\n", version_1("cpu,cpuacct", 100_000), 1),  # a container's own is the topmost
        ("4:cpu:/\n", version_1("cpu", -1), 64),
        ("7:memory:/\n", {"memory/cpu.max": "100000 100000"}, 64),
    ],
)
def test_a_quota_counts_as_cores(
    tmp_path: Path, membership: str | None, files: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert usable_cores(cgroups(tmp_path, membership, files)) == cores


def test_two_threads_of_a_core_are_one_physical_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert physical_cores(tmp_path) == 8  # nothing says which belong together
    for number in range(8):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{number % 4},{number % 4 + 4}\n")
    assert physical_cores(tmp_path) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 2, 5}, raising=False)
    assert physical_cores(tmp_path) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize("mine", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_threads_spin_briefly_unless_the_user_has_set_how_they_wait(mine: str) -> None:
    environment: dict[str, str] = {}
    spin_briefly(environment)
    assert environment == {"GOMP_SPINCOUNT": "2000"}
    environment = {mine: "ACTIVE"}
    spin_briefly(environment)
    assert environment == {mine: "ACTIVE"}


def test_every_command_has_its_threads_spin_briefly() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    code = (
        "import ctypes, os, sys\n"
        "from wgan.cli import main\n"
        "assert 'torch' not in sys.modules\n"
        "main(['train', '--help'])\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.getenv.restype = ctypes.c_char_p\n"
        "assert libc.getenv(b'GOMP_SPINCOUNT') == b'2000'\n"  # as a library sees it
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_runtimes_start_no_more_threads_than_there_are_cores(tiny_export: Path) -> None:
    program = """
import os, sys
from pathlib import Path
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
os.environ.pop("OMP_NUM_THREADS", None)
from wgan.serve.backends.open import open_backend
def threads():
    return len(os.listdir("/proc/self/task"))
import onnxruntime
before = threads()
with open_backend(Path(sys.argv[1]), device="cpu") as backend:
    print(threads() - before)
import torch
torch.set_num_threads(8)
with open_backend(Path(sys.argv[2]), device="cpu") as backend:
    print(torch.get_num_threads())
"""
    names = [str(tiny_export / name) for name in ("generator.onnx", "generator.ts")]
    done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]
