"""A Triton model repository around one proven artifact: `<folder>/<model>/config.pbtxt` and `1/model.onnx` or `.plan`.

The configuration is protobuf text as Triton's model_config.proto defines it; the tests parse it with that.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.base import check_device
from wgan.serve.backends.trt.api import load_tensorrt
from wgan.serve.backends.trt.build import OPTIMUM
from wgan.serve.base.errors import ConfigError, ExportError
from wgan.serve.base.files import atomic_write

FORMATS_OF = {"onnxruntime": "onnx", "tensorrt": "trt"}  # Triton's backend → the format that it loads
KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "cuda": "KIND_GPU"}
IMAGE_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}
ALONE = (
    "and Triton loads TensorRT's engines alone: install wgan's extra trt on the machine with the GPU and export there, "
    "or use --triton-backend onnxruntime"
)
QUEUE_DELAY = 1000  # microseconds that a request waits for others to fill a batch


@dataclass(frozen=True)
class Settings:
    """How Triton is to serve the model."""

    backend: str = "onnxruntime"
    device: str = "auto"
    max_batch: int = 256

    def check(self) -> None:
        """Refuses what cannot be served, before anything is exported.

        Raises:
            ConfigError: an unknown backend or device, or an engine on the CPU.
        """
        if self.backend not in FORMATS_OF:
            raise ConfigError(f"--triton-backend {self.backend} is not one of {', '.join(FORMATS_OF)}")
        check_device(self.device)
        if (self.backend, self.device) == ("tensorrt", "cpu"):
            raise ConfigError("--triton-backend tensorrt runs on CUDA only: use onnxruntime for the CPU")

    def check_builder(self) -> None:
        """Refuses an engine that `write_repository` would refuse, before time is spent on building it.

        Raises:
            BackendUnavailable: no TensorRT here.
            ExportError: the one that is here builds engines that Triton cannot load.
        """
        if FORMATS_OF[self.backend] == "trt" and (name := load_tensorrt().__name__) != "tensorrt":
            raise ExportError(f"here is {name}, {ALONE}")


def write_repository(source: Path, folder: Path, settings: Settings) -> Path:
    """Puts an exported artifact, byte for byte, into a model repository.

    Args:
        source: the artifact; its stem names the model.
        folder: the repository; other models in it are left alone.
        settings: as `Settings.check` passes them.

    Returns:
        The model's folder.

    Raises:
        ExportError: the artifact is not proven, or is an engine that Triton cannot load.
        OutputError: it cannot be written.
    """
    settings.check()
    exported = artifact.read(source)
    metadata = exported.metadata
    if metadata.format != FORMATS_OF[settings.backend]:
        raise ConfigError(f"--triton-backend {settings.backend} serves no {metadata.format}: {source}")
    runtime = (metadata.engine or {}).get("runtime")
    if settings.backend == "tensorrt" and runtime != "tensorrt":
        raise ExportError(f"{source} is an engine of {runtime}, {ALONE}")
    if not metadata.proven:
        reason = (metadata.parity or {}).get("reason") or "it does not match PyTorch"
        raise ExportError(f"{source} is not proven and is not served: {reason}")
    model = folder / source.stem.replace(".", "_")
    atomic_write(model / "1" / _file_name(settings.backend), exported.data)
    if metadata.classes is None:
        (model / "labels.txt").unlink(missing_ok=True)  # of another generator that had this name
    else:
        lines = [" ".join(name.split()) for name in metadata.classes]
        atomic_write(model / "labels.txt", "".join(f"{name}\n" for name in lines).encode())
    # the last: a model without it is not loaded
    atomic_write(model / "config.pbtxt", config_text(model.name, metadata, settings).encode())
    return model


def config_text(name: str, metadata: Metadata, settings: Settings) -> str:
    """The `config.pbtxt` of a generator.

    A conditional one takes `label` too. Triton has no inputs of shape (N,), so a client sends (N, 1).
    """
    most = min(settings.max_batch, metadata.max_batch or settings.max_batch)
    optimum = min(OPTIMUM, most)
    image = metadata.image
    return "\n".join(
        [
            f"name: {_quoted(name)}",
            f"backend: {_quoted(settings.backend)}",
            f"default_model_filename: {_quoted(_file_name(settings.backend))}",
            f"max_batch_size: {most}",
            "input {",
            *_tensor("z", "TYPE_FP32", [metadata.latent.dim]),
            "}",
            *(
                ["input {", *_tensor("label", "TYPE_INT64", [1]), "  reshape { shape: [ ] }", "}"]
                * bool(metadata.classes)
            ),
            "output {",
            *_tensor("image", IMAGE_TYPES[image.dtype], list(image.shape)),
            "}",
            "instance_group {",
            "  count: 1",
            f"  kind: {KINDS['cuda' if settings.backend == 'tensorrt' else settings.device]}",
            "}",
            "dynamic_batching {",
            f"  preferred_batch_size: [ {', '.join(map(str, sorted({optimum, most})))} ]",
            f"  max_queue_delay_microseconds: {QUEUE_DELAY}",
            "}",
            *_warmup("zero", 1, metadata),
            *_warmup("random", optimum, metadata),
            *_exact_float32(metadata, settings),
            *_parameters(metadata),
            "",
        ]
    )


def _file_name(backend: str) -> str:
    return f"model{FORMATS[FORMATS_OF[backend]].ending}"


def _tensor(name: str, kind: str, dims: list[int]) -> list[str]:
    return [f"  name: {_quoted(name)}", f"  data_type: {kind}", f"  dims: [ {', '.join(map(str, dims))} ]"]


def _warmup(data: str, batch: int, metadata: Metadata) -> Iterator[str]:
    """One request before the model is ready: latents all zero, or at random; labels always 0, which is a class."""
    inputs = {"z": ("TYPE_FP32", metadata.latent.dim, data)}
    if metadata.classes:
        inputs["label"] = ("TYPE_INT64", 1, "zero")
    yield from ("model_warmup {", f"  name: {_quoted(f'{data}, batch {batch}')}", f"  batch_size: {batch}")
    for name, (kind, size, content) in inputs.items():
        yield from (
            "  inputs {",
            f"    key: {_quoted(name)}",
            f"    value {{ data_type: {kind} dims: [ {size} ] {content}_data: true }}",
            "  }",
        )
    yield "}"


def _exact_float32(metadata: Metadata, settings: Settings) -> Iterator[str]:
    """TF32 off on the GPU, as parity was measured. An engine has it built in."""
    if settings.backend == "onnxruntime" and settings.device != "cpu" and metadata.precision == "fp32":
        yield from (
            "optimization {",
            "  execution_accelerators {",
            "    gpu_execution_accelerator {",
            '      name: "cuda"',
            '      parameters { key: "use_tf32" value: "0" }',
            "    }",
            "  }",
            "}",
        )


def _parameters(metadata: Metadata) -> Iterator[str]:
    """What a client asks the server about the model: what its images are, its classes, its weights."""
    values = {
        "wgan.image_layout": metadata.image.layout,
        "wgan.image_range": json.dumps(list(metadata.image.range)),
        "wgan.latent_distribution": metadata.latent.distribution,
        "wgan.payload_sha256": metadata.payload_sha256,
    }
    if metadata.image.alpha is not None:
        values["wgan.image_alpha"] = metadata.image.alpha
    if metadata.classes:
        values["wgan.classes"] = json.dumps(list(metadata.classes))
    for key, value in values.items():
        yield from ("parameters {", f"  key: {_quoted(key)}", f"  value {{ string_value: {_quoted(value)} }}", "}")


def _quoted(text: str) -> str:
    """A protobuf text string: printable ASCII as it is, every other byte of its UTF-8 in octal."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'
