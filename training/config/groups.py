"""Which settings belong together, and each of them in words and as a JSON Schema: made from the fields' metadata."""

from dataclasses import Field
from typing import Any

from wgan.serve.base.command import written
from wgan.training.config.settings import FIELDS

GROUPS: dict[str, tuple[str, ...]] = {
    "data": ("data", "data_name", "fit", "faces_count", "data_changed", "max_broken"),
    "images": ("image_size", "channels", "background"),
    "networks": (
        "latent_dim", "base_channels", "depth", "attention", "upsampling", "critic_head", "spectral_norm",
        "minibatch", "minibatch_group",
    ),
    "labels": ("conditional", "generator_labels", "critic_labels", "label_dim"),
    "growing": ("progressive", "phase_images"),
    "start from other weights": ("init_generator", "init_critic"),
    "length": ("steps", "minutes"),
    "optimisation": (
        "batch_size", "n_critic", "lambda_gp", "penalty_every", "drift", "lr_g", "lr_d", "lr_schedule", "lr_warmup",
        "beta1", "beta2", "ema_decay", "seed",
    ),
    "precision, speed and memory": (
        "precision", "tf32", "accumulate", "compile", "cuda_graphs", "convolutions", "activation_checkpointing",
    ),
    "augmentation": ("augment_enlarge", "augment_flip", "augment_brightness", "augment_contrast"),
    "records and measures": (
        "log_every", "sample_every", "validate_every", "validate_images", "inception_every", "inception_images",
        "inception_weights", "checkpoint_every", "keep_checkpoints",
    ),
}  # fmt: skip

_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def default_of(field: "Field[Any]") -> str:
    """As it is written behind `key=`."""
    return written(field.default)


def bounds_of(field: "Field[Any]") -> str:
    """The choices, or the range; empty where any text will do."""
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    if field.type is bool:
        return "true, false"
    return ", ".join(map(str, choices)) or ("" if low is None else f"{low:,} to {high:,}")


def json_schema() -> dict[str, Any]:
    """A JSON Schema (2020-12) of the YAML files that `--config` takes, for editors that complete and check them."""
    properties: dict[str, dict[str, Any]] = {}
    for name, field in FIELDS.items():
        low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
        entry: dict[str, Any] = {"type": _TYPES[field.type]}  # type: ignore[index]
        entry |= {"enum": list(choices)} if choices else {} if low is None else {"minimum": low, "maximum": high}
        # what the bare words on and off are to YAML 1.1
        entry |= {"type": ["string", "boolean"], "enum": [*choices, True, False]} if "on" in choices else {}
        entry |= (
            {"type": ["string", "boolean"], "enum": [*choices, False]}
            if choices[-1:] == ("off",) and ("on" not in choices)
            else {}
        )
        properties[name] = entry | {"default": field.default, "description": field.metadata["help"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a run of wgan",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
