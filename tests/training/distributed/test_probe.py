"""What two joined processes find of each other, one of them with another Pillow, an hour behind."""

import json
import os
import platform
import sys
import time
from pathlib import Path

import PIL
import pytest

from tests.training.distributed.processes import apart, free_port, place
from wgan.cli import main
from wgan.serve.base.terminal import plain

HOUR = 3600


def look(rank: int, port: int, folder: Path, broken: bool) -> None:
    place(rank, port)
    if rank == 1 and broken:
        PIL.__version__ = "1.0"
        now = time.time
        time.time = lambda: now() - HOUR
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        os.environ["NCCL_SOCKET_IFNAME"] = "ib7"
    with (folder / f"{rank}.json").open("w") as sys.stdout:
        code = main(["doctor", "--distributed", "--device", "cpu", "--json"])
    (folder / f"{rank}.txt").write_text(str(code))


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_joined_processes_measure_their_links_and_say_what_is_wrong(tmp_path: Path, broken: bool) -> None:
    port = free_port()
    assert apart(look, *[(rank, port, tmp_path, broken) for rank in (0, 1)]) == [0, 0]
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == [str(int(broken))] * 2
    assert (tmp_path / "1.json").read_text() == ""
    found = json.loads((tmp_path / "0.json").read_text())
    first, second = found["links"]
    assert (first["rank"], second["rank"], second["host"]) == (0, 1, plain(platform.node()))
    assert min(found["latency"], found["throughput"], second["latency"], second["throughput"]) > 0
    wrong = [gap["why"] for gap in found["troubles"]]
    if not broken:
        assert abs(second["ahead"]) < 5
        assert wrong == []
        return
    assert abs(second["ahead"] + HOUR) < 5
    assert len(wrong) == 3
    who = f"process 1 on {platform.node()}"
    assert any("NCCL_SOCKET_IFNAME=ib7: this machine has no interface ib7" in why for why in wrong)
    assert f"{who} has Pillow 1.0 where process 0 has Pillow {PIL.__version__}" in wrong
    assert any(why.startswith(f"the clock of {who} is 3,600 s behind process 0's") for why in wrong)
