"""Training on many machines by Slurm and by Kubernetes: their own command lines, and a run of Slurm's on two "nodes".

One of the two is killed in the middle: what is left is the run of one process that nobody disturbed.
"""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.project.deploy.reading import DEPLOY, USER, checked, told, tool
from tests.training.distributed.processes import free_port
from wgan.cli import main
from wgan.training.records import checkpoint
from wgan.training.records.history import read

SLURM, JOB = DEPLOY / "slurm/train.sbatch", DEPLOY / "kubernetes/train.yaml"
STEPS, EARLY, PATIENCE = 80, 10, 280  # steps, those before the loss, seconds
SETTINGS = ["image_size=16", "base_channels=4", "faces_count=64", "batch_size=8", "n_critic=2", "log_every=10",
            f"steps={STEPS}", "checkpoint_every=5", f"validate_every={STEPS}", "validate_images=64",
            f"sample_every={STEPS}", "precision=fp32"]  # fmt: skip
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for node in 0 1; do
  # on one machine both would be the first node
  WAITING="$WAITING,is_host=$((1 - node))" "$@" >"$node.txt" 2>&1 &
  pids[node]=$!
  echo ${pids[node]} >"$node.pid"
done
wait ${pids[0]}
"""


def objects() -> dict[str, dict[str, Any]]:
    """Of the file for Kubernetes: kind → object."""
    return {each["kind"]: each for each in yaml.safe_load_all(JOB.read_text("utf-8"))}


def container() -> dict[str, Any]:
    (only,) = objects()["Job"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def of_torchrun(words: list[str]) -> tuple[Any, dict[str, Any]]:
    """What torchrun understands of a command line, and what `wgan train` does of the rest."""
    assert words[0] == "torchrun"
    asked = importlib.import_module("torch.distributed.run").get_args_parser().parse_args(words[1:])
    assert (asked.module, asked.training_script) == (True, "wgan")
    given = [word for word in asked.training_script_args if word != "--"]
    assert given[0] == "train"
    return asked, told(given[1:], "train")


def with_variables(text: str, values: dict[str, str]) -> list[str]:
    """The words of a command line as a shell passes them on."""
    shown = subprocess.run(
        ["bash", "-uc", text.replace("exec torchrun", "printf '%s\\0' torchrun")],
        env={"PATH": os.environ["PATH"], **values}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return shown.stdout.split("\0")[:-1]


def test_slurms_script_is_one_that_bash_reads_and_torchrun_and_wgan_understand() -> None:
    checked(tool("bash"), "-n", SLURM)
    text = SLURM.read_text("utf-8")
    inner = text[text.index("bash -c '") + 9 : text.rindex("'")]
    variables = {"NODES": "1:4", "PROCESSES": "gpu", "FIRST": "node-1", "PORT": "29500", "SLURM_JOB_ID": "7",
                 "WAITING": "last_call_timeout=30", "SLURMD_NODENAME": "node-2", "DATA": "photos", "RUN": "runs/a",
                 "SETTINGS": "minutes=10 seed=3"}  # fmt: skip
    asked, train = of_torchrun(with_variables(inner, variables))
    assert (asked.nnodes, asked.rdzv_endpoint, asked.rdzv_id, asked.local_addr) == (
        "1:4",
        "node-1:29500",
        "7",
        "node-2",
    )
    assert (train["data"], str(train["run"]), train["overrides"]) == ("photos", "runs/a", ["minutes=10", "seed=3"])
    set_for = [line.split()[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    assert {"--no-kill", "--requeue", "--ntasks-per-node=1"} <= set(set_for)


def test_the_pods_command_is_one_that_torchrun_and_wgan_understand() -> None:
    only, spec = container(), objects()["Job"]["spec"]
    values = {each["name"]: each.get("value", "made-by-the-cluster") for each in only["env"]}
    assert only["command"] == ["/bin/sh", "-c"]
    asked, train = of_torchrun(with_variables(only["args"][0], values))
    assert asked.nnodes == f"1:{spec['completions']}"
    assert asked.nproc_per_node == only["resources"]["limits"]["nvidia.com/gpu"]
    service, (port,) = objects()["Service"], only["ports"]
    first = f"{objects()['Job']['metadata']['name']}-0.{service['metadata']['name']}"
    assert asked.rdzv_endpoint == f"{first}:{port['containerPort']}"
    assert service["spec"]["ports"][0]["port"] == port["containerPort"]
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in only["volumeMounts"]}
    assert mounts[train["data"]]
    assert not mounts[str(train["run"].parent)]


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_the_job_and_its_service_are_what_kubernetes_knows(version: str) -> None:
    pytest.importorskip("kubernetes_validate", reason="needs kubernetes_validate, which is not installed")
    for each in objects().values():
        importlib.import_module("kubernetes_validate").validate(each, version, strict=True)


def test_the_job_keeps_to_the_restricted_standard() -> None:
    spec, only = objects()["Job"]["spec"], container()
    for_pod = spec["template"]["spec"]["securityContext"]
    assert for_pod["runAsNonRoot"]
    assert for_pod["runAsUser"] == for_pod["runAsGroup"] == USER
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["completions"] == spec["parallelism"]  # all at once, or they would wait for each other


@pytest.fixture
def job(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Slurm's script on two nodes, by programs that stand for Slurm's."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", "#!/bin/bash\necho localhost\necho other\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    torchrun = f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -m torch.distributed.run "$@"\n'
    (programs / "torchrun").write_text(torchrun)
    (programs / "torchrun").chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_NUM_NODES": "2", "OMP_NUM_THREADS": "1",
        "SLURM_JOB_NODELIST": "any", "SLURM_JOB_ID": "7", "SLURMD_NODENAME": "localhost", "PROCESSES": "1",
        "PORT": str(free_port()), "DATA": "faces", "RUN": "runs/a", "SETTINGS": f"--device cpu {' '.join(SETTINGS)}",
        "WAITING": "join_timeout=60,last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=2",
    }  # fmt: skip
    started = subprocess.Popen(["bash", str(SLURM)], cwd=tmp_path, env=environment, start_new_session=True)
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def children(pid: int) -> list[int]:
    """Of a process, on Linux."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes by /proc")
def test_a_node_that_is_killed_leaves_the_run_of_one_process_to_the_other(
    job: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline, run = time.monotonic() + PATIENCE, tmp_path / "runs/a"
    while len(checkpoint.list_steps(run / "checkpoints")) < 3:
        assert time.monotonic() < deadline, (tmp_path / "0.txt").read_text()
        assert job.poll() is None, (tmp_path / "0.txt").read_text()
        time.sleep(0.02)
    agent = int((tmp_path / "1.pid").read_text())  # not the node that the others meet at
    workers = children(agent)
    assert workers
    for pid in (agent, *workers):
        os.kill(pid, signal.SIGKILL)
    assert job.wait(PATIENCE) == 0, (tmp_path / "0.txt").read_text()
    state, records = checkpoint.load_last(run / "checkpoints").state, read(run / "metrics.jsonl")
    resumed = [record["step"] for record in records if record.get("message") == "resumed"]
    assert len(resumed) == 1
    assert EARLY <= resumed[0] < STEPS
    assert "on cpu in 2 processes" in "".join((tmp_path / f"{node}.txt").read_text() for node in (0, 1))
    assert [record["step"] for record in records if record["kind"] == "train"] == list(range(10, STEPS + 1, 10))

    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "faces", "--run", "alone", "--device", "cpu", *SETTINGS]) == 0
    alone = checkpoint.load_last(tmp_path / "alone/checkpoints").state
    assert (state["step"], state["images"], state["stream"]) == (STEPS, alone["images"], alone["stream"])
    assert torch.equal(state["random"], alone["random"])  # noise, augmentation and interpolation were the same
    assert state["data"] == alone["data"]
    assert state["swd"] == pytest.approx(alone["swd"], rel=0.4)
