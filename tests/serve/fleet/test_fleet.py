"""`wgan sample --ray` on small nodes of this machine: nodes and workers die, and the bytes are the same."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest

from tests import ROOT
from tests.fakes.object_store import Bucket, MotoServer, environment
from tests.project.documents.small import smaller
from wgan.cli import main
from wgan.serve.fleet import run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]

STORE = 80 * 2**20  # bytes of a node's object store: the least that Ray takes is 75 MiB
LONG = ["sample", "--model", "faces", "-n", "790", "--shard-size", "25", "--out", "o/faces.tar"]  # seconds
SMALL = ["sample", "--model", "faces", "-n", "160", "--shard-size", "8", "--out"]
SHORT = ["sample", "--model", "faces", "-n", "20", "--shard-size", "8", "--out"]
SHARDS = 32  # of the long one


class Nodes:
    """A cluster of two nodes of one core each, of which the second may die."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": STORE}
        self.cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **small})
        self.second = self.cluster.add_node(**small)

    @property
    def words(self) -> list[str]:
        return ["--ray", self.cluster.address]

    def writing(self, node: Any) -> int | None:
        """The process id of a worker of this node that writes a shard into o/ now."""
        raylet = node.all_processes["raylet"][0].process.pid
        for path in Path("o").glob(".faces-0*.tmp"):
            if (match := re.search(r"-(\d+)-\d+\.tmp$", path.name)) and parent(int(match[1])) == raylet:
                return int(match[1])
        return None

    def kill_both(self) -> None:
        """While both nodes write: takes the second away, as a power cut does, and the worker of the first.

        A worker that was seen stands still until then, as shards are small.
        """
        homes = [self.cluster.head_node, self.second]
        stopped: dict[Any, int] = {}

        def stop() -> bool:
            for home in homes:
                if home not in stopped and (found := self.writing(home)):
                    os.kill(found, signal.SIGSTOP)
                    stopped[home] = found
            return len(stopped) == len(homes)

        wait_for(stop)
        self.cluster.remove_node(self.second, allow_graceful=False)
        for process in stopped.values():
            os.kill(process, signal.SIGKILL)


def parent(process: int) -> int | None:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def wait_for(condition: Callable[[], Any]) -> Any:
    """What the condition gives, as soon as it gives something."""
    for _ in range(60_000):
        if found := condition():
            return found
        time.sleep(0.001)
    raise TimeoutError


@pytest.fixture(scope="module")
def nodes(s3_server: MotoServer) -> Iterator[Nodes]:
    # a folder of its own, so that no other program's `--ray auto` finds it; sockets want a short name
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray") as folder:
        own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder}
        for name, value in {**environment(s3_server.url), **own}.items():
            patch.setenv(name, value)
        made = Nodes()
        yield made
        made.cluster.shutdown()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one machine makes of the long set."""
    folder = tmp_path_factory.mktemp("plain")
    assert main([*LONG[:-1], str(folder / "faces.tar")]) == 0
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def in_bucket(bucket: Bucket, prefix: str) -> dict[str, bytes]:
    keys = bucket.keys(prefix)
    return {key.removeprefix(prefix): bucket.get(key) for key in keys}


def there(folder: Path) -> int:
    return len(list(folder.glob("faces-*.tar")))


def told(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The object on stdout, which is alone there; stderr holds nothing of Ray's."""
    out, err = capfd.readouterr()
    assert "ray" not in err.lower().replace("--ray", ""), err
    return json.loads(out)  # type: ignore[no-any-return]


def test_an_error_of_ours_stops_the_run_with_the_line_of_a_single_machine(
    nodes: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*SHORT, "o/faces.tar"]) == 0
    Path("o/faces-000001.tar").unlink()
    Path("o/faces-000001.tar").mkdir()
    capfd.readouterr()
    assert main([*SHORT, "o/faces.tar"]) == 2
    alone = capfd.readouterr().err
    assert alone.endswith("wgan: cannot write o/faces-000001.tar: Is a directory; choose another place\n")
    assert main([*SHORT, "o/faces.tar", *nodes.words]) == 2
    assert capfd.readouterr() == ("", alone)


def test_ctrl_c_leaves_whole_shards_and_the_next_run_goes_on(
    nodes: Nodes, plain: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-m", "wgan", *LONG, *nodes.words]
    folder = Path("o")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: there(folder) >= 3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("wgan: interrupted; to do it again: `wgan sample")
    left = contents(folder)
    assert 3 <= len(left) - 1 < SHARDS
    assert left.items() <= plain.items()  # nothing half, nothing else
    assert main([*LONG, "--json", *nodes.words]) == 0
    assert told(capfd)["skipped"] == len(left) - 1
    assert contents(folder) == plain


def test_shards_go_to_a_bucket(nodes: Nodes, s3: Bucket, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "alone/faces.tar"]) == 0
    capfd.readouterr()
    assert main([*SHORT, s3.address("a/faces.tar"), "--json", *nodes.words]) == 0
    assert told(capfd)["made"] == 3
    assert in_bucket(s3, "a/") == contents(Path("alone"))


def test_the_guide_of_eight_machines_works_as_it_is_written(
    nodes: Nodes, s3_server: MotoServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its own commands, of fewer images: on a cluster of small nodes, then part by part, into an S3 server's bucket."""
    guide = (ROOT / "docs/eight-machines.md").read_text("utf-8").replace(" 1000000 ", " 30 ").replace(" 10000 ", " 4 ")
    export, by_ray, third = [shlex.split(line)[1:] for line in guide.splitlines() if line.startswith("wgan ")]
    monkeypatch.setenv("RAY_ADDRESS", nodes.cluster.address)
    bucket = s3_server.bucket("faces")
    assert main(smaller("wgan train --config demo")[1:]) == 0
    assert main(export) == 0
    assert main(by_ray) == 0
    assert len(in_bucket(bucket, "million/")) == 9
    assert third[-1] == "3/8"
    for part in range(1, 9):
        assert main([*third[:-1], f"{part}/8", "--out", "s3://faces/parts/faces.tar"]) == 0
    assert main([*third[:-2], "--out", "alone/faces.tar"]) == 0
    assert in_bucket(bucket, "million/") == in_bucket(bucket, "parts/") == contents(Path("alone"))
    capfd.readouterr()
    assert main([*third, "--json"]) == 0
    assert (told(capfd)["made"], len(in_bucket(bucket, "million/"))) == (0, 9)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("versions", lambda _: {"numpy": "0.9"}, r"the node .+ \(.+\) has numpy .+, and this command goes by 0\.9"),
        ("folder_here", lambda: "/nowhere", r"the node .+ \(.+\) does not see o/faces\.json"),
    ],
)
def test_a_node_that_does_not_fit_is_named_in_one_line(
    nodes: Nodes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: Any, says: str
) -> None:
    monkeypatch.setattr(run, name, value)
    assert main([*SHORT, "o/faces.tar", *nodes.words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert re.match(rf"wgan: {says}", err.splitlines()[-1]), err


def test_latents_of_ones_own_go_to_the_workers(nodes: Nodes, capfd: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    np.save("z.npy", np.random.default_rng(0).standard_normal((20, 128)))
    for words, out in (([], "one"), (nodes.words, "many")):
        asked = ["sample", "--model", "faces", "--latents", "z.npy", "--shard-size", "8", "--label", "blue"]
        assert main([*asked, "--out", f"{out}/z.npz", *words]) == 0
    assert contents(Path("one")) == contents(Path("many"))


def test_at_last_the_bytes_are_a_single_machines_though_a_node_and_a_worker_die(
    nodes: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "alone/faces.tar"]) == 0
    capfd.readouterr()
    killer = Thread(target=nodes.kill_both)
    killer.start()
    assert main([*SMALL, "o/faces.tar", "--json", *nodes.words]) == 0
    killer.join()
    found = told(capfd)
    assert contents(Path("o")) == contents(Path("alone"))  # and nothing half, which the killed worker left
    assert (found["count"], found["made"], found["skipped"]) == (160, 20, 0)
    assert found["retries"] >= 2
    assert found["attempts"] == 20 + found["retries"] + found["copies"]
    assert found["device"] == "cpu"

    assert main([*SMALL, "o/faces.tar", "--json", *nodes.words]) == 0
    found = told(capfd)
    assert (found["made"], found["skipped"], found["attempts"]) == (0, 20, 0)
