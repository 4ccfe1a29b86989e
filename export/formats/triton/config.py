"""The `config.pbtxt` of a generator, and what that of its companion that takes seeds has in common with it.

It is protobuf text as Triton's model_config.proto defines it; the tests parse it with that.
"""

import json

from wgan.export.formats.triton.pbtxt import Value, Word, text_of
from wgan.export.formats.triton.settings import FORMATS_OF, Settings
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.trt.build import OPTIMUM

KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "cuda": "KIND_GPU"}
IMAGE_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}
LABELS = "labels.txt"
QUEUE_DELAY = 1000  # microseconds that a request waits for others to fill a batch

Message = dict[str, Value]


def config_text(name: str, metadata: Metadata, settings: Settings) -> str:
    """The `config.pbtxt` of a generator.

    A conditional one takes `label` too. Triton has no inputs of shape (N,), so a client sends (N, 1).
    """
    most = most_images(metadata, settings)
    image = metadata.image
    inputs = [tensor("z", "TYPE_FP32", metadata.latent.dim)]
    output = tensor("image", IMAGE_TYPES[image.dtype], *image.shape)
    if metadata.classes:
        inputs.append(tensor("label", "TYPE_INT64", 1) | {"reshape": {"shape": []}})
        output["label_filename"] = LABELS
    kind = KINDS["cuda" if settings.backend == "tensorrt" else settings.device]
    return text_of(
        {
            "name": name,
            "backend": settings.backend,
            "default_model_filename": file_name(settings),
            "max_batch_size": most,
            "version_policy": {"latest": {"num_versions": 1}},
            "input": inputs,
            "output": [output],
            "instance_group": [{"count": settings.instances, "kind": Word(kind)}],
            "dynamic_batching": batching(most, settings),
            "model_warmup": [_warmup("zero", 1, metadata), _warmup("random", min(OPTIMUM, most), metadata)],
            **_exact_float32(metadata, settings),
            "parameters": parameters(_facts(metadata) | _threads(settings)),
        }
    )


def file_name(settings: Settings) -> str:
    """What Triton calls the artifact in the folder of a version."""
    return f"model{FORMATS[FORMATS_OF[settings.backend]].ending}"


def most_images(metadata: Metadata, settings: Settings) -> int:
    """That the generator makes at once."""
    return min(settings.max_batch, metadata.max_batch or settings.max_batch)


def tensor(name: str, kind: str, *dims: int) -> Message:
    """An input or an output, (N, *dims)."""
    return {"name": name, "data_type": Word(kind), "dims": dims}


def batching(most: int, settings: Settings) -> Message:
    """Requests that come together are one batch. What would wait too long is refused: 503, at once or after the wait.

    A client may ask for a shorter wait.
    """
    return {
        "preferred_batch_size": sorted({min(OPTIMUM, most), most}),
        "max_queue_delay_microseconds": QUEUE_DELAY,
        "default_queue_policy": {
            "timeout_action": Word("REJECT"),
            "default_timeout_microseconds": round(settings.wait * 1e6),
            "allow_timeout_override": True,
            "max_queue_size": settings.queue,
        },
    }


def parameters(values: dict[str, str]) -> list[Message]:
    """Strings by name, which a client can ask the server for."""
    return [{"key": key, "value": {"string_value": value}} for key, value in values.items()]


def _warmup(data: str, batch: int, metadata: Metadata) -> Message:
    """One request before the model is ready: latents all zero, or at random; labels always 0, which is a class."""
    inputs = {"z": ("TYPE_FP32", metadata.latent.dim, data)}
    if metadata.classes:
        inputs["label"] = ("TYPE_INT64", 1, "zero")
    return {
        "name": f"{data}, batch {batch}",
        "batch_size": batch,
        "inputs": [
            {"key": name, "value": {"data_type": Word(kind), "dims": [size], f"{content}_data": True}}
            for name, (kind, size, content) in inputs.items()
        ],
    }


def _exact_float32(metadata: Metadata, settings: Settings) -> Message:
    """TF32 off on the GPU, as parity was measured. An engine has it built in."""
    if settings.backend != "onnxruntime" or settings.device == "cpu" or metadata.precision != "fp32":
        return {}
    cuda: Message = {"name": "cuda", "parameters": [{"key": "use_tf32", "value": "0"}]}
    return {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": [cuda]}}}


def _threads(settings: Settings) -> dict[str, str]:
    """As the backend onnxruntime calls them."""
    return {} if settings.threads is None else {"intra_op_thread_count": str(settings.threads)}


def _facts(metadata: Metadata) -> dict[str, str]:
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
    return values
