"""The quickstart's commands on a machine whose NVIDIA driver shows a GPU that nothing can run on.

The driver is a stub, compiled here; ONNX Runtime, torch and TensorRT-RTX are the real ones.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

STUB = ROOT / "tests" / "fakes" / "stub_cuda.c"
TINY = ["image_size=16", "base_channels=4", "faces_count=64", "batch_size=8", "n_critic=1", "steps=3",
        "validate_images=32", "sample_every=2"]  # fmt: skip
MARK = "\x1e"
# runs each list of words as a command; a mark ends what it has said, and on stdout its exit code follows
RUN_ALL = """
import json, sys
from wgan.cli import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    print("\\x1e%d" % code, end="\\x1e", flush=True)
    print(end="\\x1e", file=sys.stderr, flush=True)
"""
WHY = "runs on the CPU: CUDA: cudaStreamCreateWithFlags failed with cudaErrorCallRequiresNewerDriver on this driver; "
FIX = "install NVIDIA's driver from https://www.nvidia.com/drivers"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the stub is of Linux's driver"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) to make the stub driver with"),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stub."""
    folder = tmp_path_factory.mktemp("driver")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", STUB], check=True)
    return folder


def run(driver: Path, folder: Path, *commands: list[str], before: str = "") -> list[tuple[int, str, list[str]]]:
    """Each command's exit code, stdout, and lines of stderr; all in one process."""
    env = os.environ | {"LD_LIBRARY_PATH": str(driver), "HOME": str(folder)}
    words = [sys.executable, "-c", before + RUN_ALL, json.dumps(commands)]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
    out, err = (text.split(MARK)[:-1] for text in (done.stdout, done.stderr))
    assert len(err) == len(commands), done.stderr
    return [(int(code), text, said.splitlines()) for text, code, said in zip(out[::2], out[1::2], err, strict=True)]


def test_every_command_takes_the_cpu_and_says_why_once(driver: Path, tmp_path: Path) -> None:
    demo, export, verify, torch, onnx, evaluated, bench, resume, asked, doctor = run(
        driver,
        tmp_path,
        ["demo", *TINY],
        ["export", "--format", "onnx", "--max-batch", "8"],
        ["verify", "--json"],
        ["sample", "--backend", "torchscript", "-n", "2", "--out", "a.npy"],
        ["sample", "-n", "2", "--out", "b.npy"],
        ["eval", "-n", "8", "--inception-weights", "none"],
        ["bench", "--backends", "onnx", "--batch-sizes", "1", "--seconds", "0.1"],
        ["train", "--resume", "steps=4"],
        ["sample", "-n", "2", "--backend", "torch", "--device", "cuda"],
        ["doctor", "--json"],
    )
    for code, _, said in (demo, export, verify, torch, onnx, evaluated, bench, resume):
        assert (code, [line for line in said if "CPU" in line]) == (0, [f"{WHY}to mend it: {FIX}"]), said
        assert not [line for line in said if "arning" in line or "onnxruntime" in line], said
    assert json.loads(verify[1])["passed"] is True
    assert (asked[0], len(asked[2])) == (2, 1)
    assert FIX in asked[2][0]
    backends = [
        row for row in json.loads(doctor[1])["backends"] if row["what"] != "browser"
    ]  # which needs none of this
    verdicts = {(row["what"], row["device"]): row for row in backends}
    assert [key for key, row in verdicts.items() if row["runs"]] == [
        ("onnx", "cpu"), ("torchscript", "cpu"), ("torch", "cpu"),
    ]  # fmt: skip
    assert {row["fix"] for row in verdicts.values() if not row["runs"]} == {FIX}
    # of TensorRT-RTX: it was tried, and the refusal names what may run there
    (refused,) = (line for line in demo[2] if line.startswith("no engine: "))
    assert "lists no compute capability 9.0, TensorRT may run on it: " in refused


def test_a_library_that_onnx_runtime_lacks_is_named_without_its_noise(
    driver: Path, tiny_export: Path, tmp_path: Path
) -> None:
    model = ["sample", "-n", "1", "--model", str(tiny_export / "generator.onnx"), "--out", "a.npy"]
    # as if the packages were not there; and cuda-bindings, which would tell of the driver first
    before = "import onnxruntime; onnxruntime.preload_dlls = lambda: print('noise')\n"
    before += "from unittest.mock import Mock; from wgan.serve.backends import gaps; gaps.Cuda = Mock()\n"
    taken, asked, doctor = run(
        driver, tmp_path, model, [*model, "--provider", "cuda"], ["doctor", "--json"], before=before
    )
    verdict = next(row for row in json.loads(doctor[1])["backends"] if (row["what"], row["device"]) == ("onnx", "cuda"))
    assert verdict["why"] == "ONNX Runtime's CUDA lacks libcublasLt.so.13"
    assert verdict["fix"].endswith("install 'onnxruntime-gpu[cuda,cudnn]'")
    gap = f"{verdict['why']}; to mend it: {verdict['fix']}"
    assert (taken[0], taken[2][:-1]) == (0, [f"runs on the CPU: {gap}"])
    assert taken[2][-1].startswith("next: ")
    assert (asked[0], asked[2]) == (2, [f"wgan: --provider cuda: {gap}"])
    assert "noise" not in taken[1] + asked[1] + doctor[1]
