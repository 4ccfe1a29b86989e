"""Train a WGAN-GP on a folder of images and deploy its generator anywhere, proven equal to PyTorch.

    import wgan

    run = wgan.train("photos", preset="demo", steps=200)
    artifact = wgan.export(run, "onnx")
    with wgan.load(artifact.path) as generator:
        images = generator.sample(64, seed=0)  # uint8 (64, H, W, C)
    wgan.verify(artifact.path)

Importing it loads neither torch, nor a runtime, nor numpy: each function imports what it needs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

_here = Path(__file__).parent
if not (_here / "serve").is_dir():  # a checkout: serve, training and export lie beside this folder
    __path__.append(str(_here.parent))

from wgan.api import load, train, verify  # noqa: E402
from wgan.serve.base.errors import (  # noqa: E402
    ArtifactError,
    BackendError,
    BackendOutOfMemory,
    BackendUnavailable,
    CheckpointError,
    ConfigError,
    DatasetError,
    ExportError,
    FolderInUse,
    OutputError,
    ParityError,
    StoreError,
    TrainingError,
    WganError,
)

__all__ = [
    "ArtifactError",
    "BackendError",
    "BackendOutOfMemory",
    "BackendUnavailable",
    "CheckpointError",
    "ConfigError",
    "DatasetError",
    "ExportError",
    "FolderInUse",
    "OutputError",
    "ParityError",
    "StoreError",
    "TrainingError",
    "WganError",
    "__version__",
    "export",
    "load",
    "train",
    "verify",
]

if TYPE_CHECKING:
    # For type checkers `wgan.export` is the function. In truth it is the package of that name, which can be called.
    from wgan.export.from_run import export

    __version__: str
else:

    def __getattr__(name: str) -> Any:
        if name == "export":
            import wgan.export as package

            return package
        if name == "__version__":
            from wgan.version import version

            return version()
        raise AttributeError(f"module 'wgan' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
