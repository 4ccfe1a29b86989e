"""`<model>_seeds`: a model beside the generator's that takes seeds and gives pixels or PNG files.

Its code is not written for it: the folder of its version holds copies of wgan's own modules.
"""

import inspect
import json
from pathlib import Path
from types import ModuleType

from wgan.export.formats.triton.config import Message, batching, most_images, parameters, tensor
from wgan.export.formats.triton.pbtxt import Word, text_of
from wgan.export.formats.triton.served import drawing
from wgan.export.formats.triton.settings import Settings
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.base import errors
from wgan.serve.latents import table, truncation
from wgan.serve.outputs import levels

# A file of this name keeps Python from writing there, which a server that polls would take for a new model.
NO_BYTECODE = "__pycache__"
COPIED = (errors, table, truncation, levels, drawing)
INSTANCES = 2  # at least: one draws or encodes while another's images are made


def seeds_name(model: str) -> str:
    """What the companion of a generator's model is called."""
    return f"{model}_seeds"


def seeds_config(model: str, metadata: Metadata, settings: Settings) -> str:
    """The `config.pbtxt` of the companion of the generator ``model``."""
    image = metadata.image
    optional: Message = {"optional": True}
    inputs = [tensor("seed", "TYPE_INT64", 1), tensor("truncation", "TYPE_FP32", 1) | optional]
    facts = {"wgan.generator": model, "wgan.latent_dim": str(metadata.latent.dim)}
    if metadata.classes:
        inputs.append(tensor("label", "TYPE_INT64", 1) | optional)
        facts["wgan.classes"] = json.dumps(list(metadata.classes))
    most = most_images(metadata, settings)
    return text_of(
        {
            "name": seeds_name(model),
            "backend": "python",
            "max_batch_size": most,
            "version_policy": {"latest": {"num_versions": 1}},
            "input": inputs,
            "output": [
                tensor("pixels", "TYPE_UINT8", image.height, image.width, image.channels),
                tensor("png", "TYPE_STRING", 1),
            ],
            "instance_group": [{"count": max(INSTANCES, settings.instances), "kind": Word("KIND_CPU")}],
            "dynamic_batching": batching(most, settings),
            "parameters": parameters(facts),
        }
    )


def seeds_files() -> dict[str, bytes]:
    """The folder of a version: names below it, and what is in them."""
    files = {"model.py": (Path(__file__).parent / "served" / "model.py").read_bytes()}
    for module in COPIED:
        files[_place(module)] = Path(inspect.getfile(module)).read_bytes()
    folders = {folder.as_posix() for name in files for folder in Path(name).parents}
    files |= {f"{folder}/__init__.py": b"" for folder in sorted(folders - {"."})}
    return files | {Path(folder, NO_BYTECODE).as_posix(): b"no bytecode here\n" for folder in sorted(folders)}


def client_text(model: str) -> str:
    """A client of the companion of the generator ``model``: a program, and functions for others."""
    text = (Path(__file__).parent / "served" / "client.py").read_text("utf-8")
    return text.replace('MODEL = "generator_seeds"', f"MODEL = {json.dumps(seeds_name(model))}")


def _place(module: ModuleType) -> str:
    return f"{module.__name__.replace('.', '/')}.py"
