"""TorchScript by tracing, without the debug records that name folders of this machine."""

import io
import re
import warnings
import zipfile

import torch
from torch import nn

from wgan.export.formats.onnx import examples
from wgan.serve.backends.pytorch.device import exact_convolutions

_PYTHON_FILE = re.compile(rb"\0(?:[A-Za-z]:[\\/]|/)[^\0]*\.py\b")  # its absolute path, in a pickle


def to_torchscript(module: nn.Module, latent_dim: int, *, conditional: bool = False) -> bytes:
    """The traced and frozen generator, as `torch.jit.load` reads it; any batch size.

    Its arguments are z float32 (N, Z) and, if ``conditional``, label int64 (N,).
    """
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # torch announces TorchScript's end of new features; the format stays supported
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.freeze(torch.jit.trace(module, examples(latent_dim, conditional)))
        exact_convolutions(traced.graph)
        torch.jit.save(traced, buffer)
        clean = torch.jit.load(io.BytesIO(_without_debug_records(buffer.getvalue())))
        buffer = io.BytesIO()
        torch.jit.save(clean, buffer)
    return buffer.getvalue()


def names_folders(data: bytes) -> bool:
    """Whether a TorchScript file says where it was traced, as those of an earlier wgan do."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = (name for name in archive.namelist() if name.endswith(".debug_pkl"))
        return any(_PYTHON_FILE.search(archive.read(name)) for name in records)


def _without_debug_records(data: bytes) -> bytes:
    """The archive without its records of which lines of which files were traced: they name folders of this machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(buffer, "w") as rest:
        for entry in whole.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                rest.writestr(entry, whole.read(entry))
    return buffer.getvalue()
