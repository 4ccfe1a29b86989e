"""Runs ONNX or TorchScript files in somebody else's runtime: `python drive.py RUNTIME FOLDER`.

Needs numpy and the runtime, and nothing of wgan: it runs in environments that have nothing else. In
`FOLDER/cases.json` is {name: {"file": path, "inputs": {tensor: [dtype, shape, path of its bytes]}}}. The images of
each batch go to `FOLDER/NAME-N`, and to stdout JSON: {"version", "images": {NAME-N: [dtype, shape]}, "refused":
{NAME: why}}. `drive.mjs` does the same in JavaScript.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 2, 8)
Inputs = dict[str, np.ndarray]
Run = Callable[[Inputs], np.ndarray]
Opened = tuple[str, Callable[[str], Run]]  # the runtime's version, and what opens a file with it


def openvino(**settings: str) -> Opened:
    # `import openvino` tells its maker so, unless this cannot be imported
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino as ov

    core = ov.Core()

    def open_file(path: str) -> Run:
        model = core.compile_model(path, "CPU", settings)
        return lambda inputs: model(inputs)["image"]

    return ov.__version__.split("-")[0], open_file


def opencv() -> Opened:
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def open_file(path: str) -> Run:
        net = cv2.dnn.readNetFromONNX(path)

        def run(inputs: Inputs) -> np.ndarray:
            for name, value in inputs.items():
                net.setInput(value, name)
            return net.forward("image").copy()

        return run

    return cv2.__version__, open_file


def onnxruntime() -> Opened:
    import onnxruntime as ort

    def open_file(path: str) -> Run:
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(["image"], inputs)[0]

    return ort.__version__, open_file


def torch() -> Opened:
    import torch

    def open_file(path: str) -> Run:
        module = torch.jit.load(path)

        def run(inputs: Inputs) -> np.ndarray:
            with torch.inference_mode():
                return module(*map(torch.from_numpy, inputs.values())).numpy()

        return run

    return torch.__version__.split("+")[0], open_file


RUNTIMES: dict[str, Callable[[], Opened]] = {
    "openvino": lambda: openvino(INFERENCE_PRECISION_HINT="f32"),
    "openvino-default": openvino,
    "opencv": opencv,
    "onnxruntime": onnxruntime,
    "torch": torch,
}


def main(runtime: str, folder: Path) -> dict[str, Any]:
    version, open_file = RUNTIMES[runtime]()
    images, refused = {}, {}
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        inputs = {
            tensor: np.fromfile(path, dtype).reshape(shape) for tensor, (dtype, shape, path) in case["inputs"].items()
        }
        try:
            run = open_file(case["file"])
            for n in BATCHES:
                made = run({tensor: value[:n] for tensor, value in inputs.items()})
                made.tofile(folder / f"{name}-{n}")
                images[f"{name}-{n}"] = [str(made.dtype), list(made.shape)]
        except Exception as error:  # whatever it has for a refusal
            refused[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return {"version": version, "images": images, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
