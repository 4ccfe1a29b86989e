"""ONNX Runtime's providers on the GPU: whether they start is found by trying, and what they lack is named."""

import ctypes
import importlib
import io
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from wgan.serve.base.terminal import short
from wgan.serve.machine.installer import installer
from wgan.serve.machine.requirements import Gap

CUDA = "CUDAExecutionProvider"

# An ONNX file (IR 6, opset 11) whose graph is y = Identity(x), float32 (1,): what a provider is tried with.
IDENTITY = bytes.fromhex(
    "080612003a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a020801"
    "620f0a0179120a0a08080112040a02080142040a00100b"
)
FAILURE = re.compile(r"(?:CUDA|CUDNN|CUBLAS) failure[^;]*")  # what matters in ONNX Runtime's text of hundreds of words


def load_libraries(ort: Any, tensorrt: bool = False) -> None:
    """Makes the libraries of installed packages known to the process, where there are any.

    ONNX Runtime prints what it misses, by itself or by its logger, which goes past Python: both are kept silent, as
    what is missing is found out and said by `cuda_gap` and `tensorrt_gap`.
    """
    ort.set_default_logger_severity(4)
    with redirect_stdout(io.StringIO()):
        if hasattr(ort, "preload_dlls"):
            ort.preload_dlls()
        if tensorrt:
            with suppress(ImportError, OSError, RuntimeError):
                importlib.import_module("tensorrt")  # which loads them


def cuda_gap(ort: Any) -> Gap | None:
    """Why the CUDA provider does not start; None where it does. Only loading it shows which libraries it lacks."""
    fix = f"{installer()} 'onnxruntime-gpu[cuda,cudnn]'"
    try:
        load_libraries(ort)
        session = ort.InferenceSession(IDENTITY, providers=[CUDA])
    except Exception as error:  # onnxruntime raises types of its own, some without a common base
        failure = FAILURE.search(str(error))
        return Gap(f"ONNX Runtime's CUDA fails: {short(failure[0] if failure else error)}", fix)
    # a provider that fails to load is dropped without an exception
    if session.get_providers()[0] == CUDA:
        return None
    return Gap(f"ONNX Runtime's CUDA lacks {_lacks(ort) or 'a library of CUDA or cuDNN'}", fix)


def tensorrt_gap(ort: Any) -> Gap | None:
    """Why the TensorRT provider cannot load: it is linked with one major version of TensorRT; None where it can."""
    major = tensorrt_wanted(ort)
    if major is None:
        return None
    load_libraries(ort, tensorrt=True)
    name = f"libnvinfer.so.{major}"
    try:
        ctypes.CDLL(name)
    except OSError:
        package = f"tensorrt-cu{cuda_major(ort) or 13}=={major}.*"
        why = f"ONNX Runtime {ort.__version__} runs with TensorRT {major} alone, and {name} is not here"
        return Gap(why, f"{installer()} '{package}'")
    return None


def tensorrt_wanted(ort: Any) -> int | None:
    """The major version of TensorRT that the provider is linked with, read from its own file; None where there is none.

    The package to install by this is not that of the trt backend, which takes any TensorRT from 10.8 on.
    """
    try:
        content = _library(ort, "tensorrt").read_bytes()
    except OSError:
        return None
    match = re.search(rb"libnvinfer\.so\.(\d+)\0", content)
    return int(match[1]) if match else None


def tensorrt_version(ort: Any) -> str:
    """The version of the TensorRT that the provider has loaded, as its library tells: 101303 for 10.13.3."""
    try:
        return str(ctypes.CDLL(f"libnvinfer.so.{tensorrt_wanted(ort)}").getInferLibVersion())
    except (OSError, AttributeError):
        return "unknown"


def cuda_major(ort: Any) -> int | None:
    """The CUDA that ONNX Runtime was built with; None for one without, or that does not tell."""
    match = re.match(r"\d+", str(getattr(ort, "cuda_version", "")))
    return int(match[0]) if match else None


def _library(ort: Any, provider: str) -> Path:
    return Path(str(getattr(ort, "__file__", ""))).parent / "capi" / f"libonnxruntime_providers_{provider}.so"


def _lacks(ort: Any) -> str | None:
    """The first library that the CUDA provider does not find. Asked only where ONNX Runtime itself has tried before:
    what it sets up must be there when the provider is loaded.
    """
    try:
        ctypes.CDLL(str(_library(ort, "cuda")))
    except OSError as error:
        match = re.match(r"(lib[^:/]+): cannot open", str(error))
        return match[1] if match else None
    return None
