"""Sampling as a Slurm array and as a Kubernetes Indexed Job: their own command lines, run here once a part."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.object_store import Bucket
from tests.project.deploy.reading import DEPLOY, USER, checked, tool

SLURM, JOB = DEPLOY / "slurm/sample.sbatch", DEPLOY / "kubernetes/sample.yaml"
PARTS, SMALL = 3, {"MODEL": "faces", "IMAGES": "20", "SHARD_SIZE": "4", "THREADS": "1"}
PATIENCE = 60.0  # seconds


def job() -> dict[str, Any]:
    """The Indexed Job."""
    loaded = yaml.safe_load(JOB.read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def container() -> dict[str, Any]:
    (only,) = job()["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def variables(**own: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **SMALL, **own, "PATH": path}


def run(words: list[str], **own: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=variables(**own), capture_output=True, text=True, check=False, timeout=120)


def slurm(index: int, out: str, among: int = PARTS) -> subprocess.CompletedProcess[str]:
    """``among``: how many tasks the array has that this one was given in."""
    own = {"SLURM_ARRAY_TASK_ID": str(index + 1), "SLURM_ARRAY_TASK_COUNT": str(among), "PARTS": str(PARTS)}
    return run(["bash", str(SLURM)], OUT=out, **own)


def kubernetes(index: int, out: str) -> subprocess.CompletedProcess[str]:
    only = container()
    own = {each["name"]: each["value"] for each in only["env"]}
    assert {*SMALL, "OUT", "PARTS"} <= set(own)
    words = [*only["command"], *only["args"]]
    return run(words, OUT=out, PARTS=str(PARTS), JOB_COMPLETION_INDEX=str(index))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one machine makes."""
    folder = tmp_path_factory.mktemp("alone")
    done = run(["bash", str(SLURM)], OUT=f"{folder}/a.tar", SLURM_ARRAY_TASK_ID="1", PARTS="1")
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(made) == 6
    return made


@pytest.mark.slow
def test_the_tasks_of_an_array_make_what_one_machine_makes(alone: dict[str, bytes], tmp_path: Path) -> None:
    for index in range(PARTS):
        assert slurm(index, f"{tmp_path}/a.tar").returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == alone
    (tmp_path / "a-000001.tar").unlink()  # a task that was lost is given again, alone
    done = slurm(1, f"{tmp_path}/a.tar", among=1)
    assert (done.returncode, json.loads(done.stdout)["skipped"]) == (0, 1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == alone


@pytest.mark.slow
def test_a_task_that_is_killed_goes_on_after_the_shards_that_are_there(tmp_path: Path) -> None:
    own = {
        "IMAGES": "40000",
        "SHARD_SIZE": "100",
        "PARTS": "40",
        "SLURM_ARRAY_TASK_ID": "2",
        "OUT": f"{tmp_path}/a.tar",
    }
    with subprocess.Popen(
        ["bash", str(SLURM)], env=variables(**own), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + PATIENCE
        while not any(tmp_path.glob("a-*.tar")) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    there = sorted(tmp_path.glob("a-*.tar"))
    assert 0 < len(there) < 10
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in there]
    done = run(["bash", str(SLURM)], **own)
    told = json.loads(done.stdout)
    assert (told["skipped"], told["made"]) == (len(there), 10 - len(there))
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in there] == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [*(f"a-{number:06d}.tar" for number in range(1, 400, 40)), "a.json"]


@pytest.mark.slow
def test_the_pods_of_a_job_make_it_in_a_bucket(alone: dict[str, bytes], s3: Bucket) -> None:
    for index in range(PARTS):
        done = kubernetes(index, s3.address("million/a.tar"))
        assert done.returncode == 0, done.stderr
    assert {key.removeprefix("million/"): s3.get(key) for key in s3.keys("million")} == alone


@pytest.mark.slow
def test_a_command_that_is_wrong_has_the_exit_code_that_is_not_tried_again() -> None:
    (ended, ignored) = job()["spec"]["podFailurePolicy"]["rules"]
    assert ended["action"] == "FailIndex"
    done = kubernetes(0, "https://bucket/a.tar")
    assert ended["onExitCodes"]["values"] == [done.returncode]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize("version", ["1.33", "1.37"])  # backoffLimitPerIndex is stable from 1.33 on
def test_the_job_is_what_kubernetes_knows(version: str) -> None:
    pytest.importorskip("kubernetes_validate", reason="needs kubernetes_validate, which is not installed")
    importlib.import_module("kubernetes_validate").validate(job(), version, strict=True)


def test_the_job_keeps_to_the_restricted_standard_and_counts_alike() -> None:
    spec, only = job()["spec"], container()
    for_pod = spec["template"]["spec"]["securityContext"]
    assert for_pod["runAsNonRoot"]
    assert for_pod["runAsUser"] == for_pod["runAsGroup"] == USER
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in only["volumeMounts"]] == ["/tmp"]
    own = {each["name"]: each["value"] for each in only["env"]}
    assert int(own["PARTS"]) == spec["completions"]
    assert own["THREADS"] == only["resources"]["requests"]["cpu"]


def test_the_script_is_one_that_bash_reads() -> None:
    checked(tool("bash"), "-n", SLURM)
    asked = [line.split()[1] for line in SLURM.read_text("utf-8").splitlines() if line.startswith("#SBATCH")]
    assert "--array=1-8" in asked
    assert "--requeue" in asked
    assert "PARTS:-8" in SLURM.read_text("utf-8")


def test_shellcheck_finds_nothing() -> None:
    checked(tool("shellcheck"), SLURM)
