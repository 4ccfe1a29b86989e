"""What other work took of the machine: from made-up /proc files and a clock that is told the time."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wgan.serve.machine.load import SHORTEST, Load, Watch, load_average, own_and_ended_children, worst

HERTZ = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Machine:
    """A machine of four cores, of which the process may use the first two, and its clock."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        self.root, self.now, self.own = root, 100.0, 7.0
        self.ticks = [[1000, 2000, 0] for _ in range(4)]  # busy, idle, stolen
        for folder in ("proc/pressure", "proc/self", "sys/fs/cgroup/pod"):
            (root / folder).mkdir(parents=True)
        (root / "proc/self/cgroup").write_text("0::/pod\n")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        self.write()

    def write(self, throttled: float = 0.0, waited: float = 0.0) -> None:
        """The files: what was throttled and waited for since this machine was looked at, over what was before."""
        lines = [
            f"cpu{i} {busy - 5} 1 2 {idle - 10} 10 1 1 {stolen} 0 0"
            for i, (busy, idle, stolen) in enumerate(self.ticks)
        ]
        (self.root / "proc/stat").write_text("\n".join(["cpu  1 2 3 4 5 6 7 8 0 0", *lines, "intr 5 0", "ctxt 12"]))
        (self.root / "sys/fs/cgroup/pod/cpu.stat").write_text(
            f"nr_periods 3\nthrottled_usec {round((5 + throttled) * 1e6)}\n"
        )
        (self.root / "proc/pressure/cpu").write_text(
            f"some avg10=0.93 avg60=0.87 total={round((3 + waited) * 1e6)}\nfull x\n"
        )

    def watch(self) -> Watch:
        return Watch(lambda: self.own, lambda: self.now, self.root)

    def passes(self, seconds: float, own: float, *cores: tuple[float, float], **others: float) -> None:
        """Time: our CPU seconds, and of each core how many it was busy, and stolen; the rest it was idle."""
        self.now += seconds
        self.own += own
        for ticks, (busy, stolen) in zip(self.ticks, cores, strict=True):
            for i, share in enumerate((busy, seconds - busy - stolen, stolen)):
                ticks[i] += round(share * HERTZ)
        self.write(**others)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_other_work_is_what_our_cores_did_without_us(machine: Machine) -> None:
    watch = machine.watch()
    # our 2.5 s in 2 s of two cores; others have 1 s of these, and the whole of two cores that are not ours
    machine.passes(2, 2.5, (2, 0), (1.5, 0.4), (2, 0), (2, 0), throttled=0.6, waited=0.5)
    load = watch.load()
    assert load.others == pytest.approx(0.5)
    assert load.steal == pytest.approx(0.2)
    assert load.throttled == pytest.approx(0.3)
    assert load.pressure == pytest.approx(0.25)
    assert load.limit == pytest.approx(0.2)


def test_a_quota_leaves_cores_to_others_that_slow_nothing(machine: Machine) -> None:
    (machine.root / "sys/fs/cgroup/pod/cpu.max").write_text("100000 100000\n")
    watch = machine.watch()
    machine.passes(1, 1, (1, 0), (1, 0), (0, 0), (0, 0))
    load = watch.load()
    assert load.others == pytest.approx(1)
    assert load.limit == pytest.approx(1.1)  # one core of two is ours


def test_ticks_that_fall_short_of_our_own_time_are_no_negative_load(machine: Machine) -> None:
    watch = machine.watch()
    machine.passes(1, 1.02, (1, 0), (0, 0), (0, 0), (0, 0))
    assert watch.load().others == 0


def test_a_proc_that_stands_still_is_not_a_quiet_machine(machine: Machine) -> None:
    watch = machine.watch()
    machine.now += 2
    assert watch.load() == Load(throttled=0, pressure=0)
    (machine.root / "proc/pressure/cpu").unlink()
    assert watch.load() == Load(throttled=0)


def test_a_short_span_has_too_few_ticks(machine: Machine) -> None:
    watch = machine.watch()
    machine.passes(0.9 * SHORTEST, 0, (0.4, 0), (0.4, 0), (0, 0), (0, 0))
    assert watch.load() == Load()


@pytest.mark.parametrize("content", [None, "", "cpu0 1 2\n", "cpu0 a b c d e f g h\n", "cpu0 1 2 3 4 5 6 7 8\n"])
def test_a_system_without_it_does_not_know(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "proc/pressure").mkdir(parents=True)
        (tmp_path / "proc/stat").write_text(content)
        (tmp_path / "proc/pressure/cpu").write_text(content)
    now = iter([0.0, 2.0])
    assert Watch(lambda: 0.0, lambda: next(now), tmp_path).load() == Load()


def test_throttling_is_read_from_both_versions_of_control_groups(machine: Machine) -> None:
    old = machine.root / "sys/fs/cgroup/cpu/pod"
    old.mkdir(parents=True)
    (machine.root / "proc/self/cgroup").write_text("4:cpu,cpuacct:/pod\n")
    (old / "cpu.stat").write_text("nr_throttled 2\nthrottled_time 2000000000\n")
    watch = machine.watch()
    machine.passes(2, 0, (0, 0), (0, 0), (0, 0), (0, 0))
    (old / "cpu.stat").write_text("nr_throttled 9\nthrottled_time 3000000000\n")
    assert watch.load().throttled == pytest.approx(0.5)


def test_the_worse_of_two_spans_counts_and_what_one_does_not_know_is_taken_from_the_other() -> None:
    row = {"batch": 1, **Load(others=0.1, limit=0.2, steal=None).to_dict()}
    found = worst(row, Load(others=1.0, limit=0.2, steal=0.3))
    assert found["load_others"] == 1.0
    assert found["steal"] == 0.3
    assert found["load_limit"] == 0.2
    assert found["throttled"] is None
    assert found["batch"] == 1


def test_children_that_have_ended_are_not_others() -> None:
    before, children = own_and_ended_children(), os.times().children_user
    code = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert os.times().children_user > children
    assert own_and_ended_children() - before >= 0.15


def test_the_load_average_is_a_number_or_not_known() -> None:
    found = load_average()
    assert (found is None) == (not hasattr(os, "getloadavg"))
    assert found is None or found >= 0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="reads /proc")
def test_on_this_machine_what_this_process_does_itself_is_not_other_work() -> None:
    watch, blind, began = Watch(), Watch(own=lambda: 0.0), time.perf_counter()
    while time.perf_counter() - began < 1.1 * SHORTEST:
        pass
    mine, everyone = watch.load().others, blind.load().others
    assert (mine is None) == (everyone is None)  # a sandbox may not tell
    if mine is not None and everyone is not None:
        assert 0 <= mine < everyone
