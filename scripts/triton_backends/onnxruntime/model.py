"""Stands in for Triton's onnxruntime backend, which the server of scripts/triton_real.py has not.

It is ONNX Runtime's CPU provider in a backend that is written in Python: Triton runs it in a process for each instance.
It loads a model as the real one does, by `default_model_filename`, and takes its parameter `intra_op_thread_count`. It
does not run on a GPU.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

SLOWED = float(os.environ.get("STAND_IN_SECONDS_PER_IMAGE", "0"))  # for tests of a server that has too much to do


class TritonPythonModel:
    """What Triton calls."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Nothing is missing in what wgan writes."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Opens the model of one version."""
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"], args["model_version"], config["default_model_filename"])
        options = onnxruntime.SessionOptions()
        threads = config["parameters"].get("intra_op_thread_count")
        if threads is not None:
            options.intra_op_num_threads = int(threads["string_value"])
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Runs all requests as one batch, as Triton put them together."""
        feed = {}
        for node in self.session.get_inputs():
            parts = [pb_utils.get_input_tensor_by_name(request, node.name).as_numpy() for request in requests]
            sizes = [len(part) for part in parts]
            values = np.concatenate(parts)
            feed[node.name] = values.reshape(len(values)) if len(node.shape) == 1 else values
        time.sleep(SLOWED * sum(sizes))
        try:
            found = self.session.run(self.outputs, feed)
        except Exception as error:  # whatever the runtime raises is what the client is told
            failure = pb_utils.TritonError(f"onnx runtime error: {error}")
            return [pb_utils.InferenceResponse(error=failure) for _ in requests]
        ends = np.cumsum(sizes)
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, array[end - size : end])
                    for name, array in zip(self.outputs, found, strict=True)
                ]
            )
            for size, end in zip(sizes, ends, strict=True)
        ]
