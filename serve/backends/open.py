"""Opens an artifact with the runtime that runs it: the one file that knows every backend."""

from pathlib import Path

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.backends.base import Backend, OnnxOptions
from wgan.serve.backends.pytorch.device import check_name
from wgan.serve.base.errors import ConfigError


def open_backend(path: Path, *, device: str = "auto", options: OnnxOptions | None = None) -> Backend:
    """Opens an artifact with the runtime that its ending names; ``options`` are for ONNX files.

    Raises:
        ArtifactError: the file is missing, damaged or not ours.
        BackendUnavailable: the runtime is not installed or cannot run here.
        ConfigError: an unknown device, or options that are not for this file.
    """
    check_name(device)
    return open_artifact(artifact.read(path), device=device, options=options)


def open_artifact(
    opened: Artifact, *, device: str = "auto", options: OnnxOptions | None = None, trusted: bool = False
) -> Backend:
    """`open_backend` for what has been read, or was made here and has no file yet.

    ``trusted``: this process made it, so a version-compatible engine may run the code that it brings.

    Raises:
        BackendUnavailable, ConfigError: as `open_backend`.
    """
    check_name(device)
    kind = opened.metadata.format
    if kind == "onnx":
        from wgan.serve.backends.onnxrt.backend import OnnxBackend

        return OnnxBackend(opened, device, options)
    refuse_options(options, opened.path)
    if kind == "torchscript":
        from wgan.serve.backends.pytorch.torchscript import TorchScriptBackend

        return TorchScriptBackend(opened, device)
    from wgan.serve.backends.trt.backend import TrtBackend

    return TrtBackend(opened, device, trusted=trusted)


def refuse_options(options: OnnxOptions | None, path: Path) -> None:
    """Refuses ONNX Runtime's options for what another runtime runs.

    Raises:
        ConfigError: names the option.
    """
    for name, value in vars(options or OnnxOptions()).items():
        if value is not None:
            raise ConfigError(f"--{name} is ONNX Runtime's, which does not run {path}: use --backend onnx")
