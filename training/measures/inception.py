"""The Inception network that FID, KID and the Inception Score are defined by, and where its weights come from.

Comparable figures need the network of the TensorFlow release of 2015-12-05, with that framework's bilinear
resizing: torch-fidelity's port of both. torchmetrics' own resizes with antialiasing, torchvision's has other weights.
"""

import hashlib
import io
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import torch
from torch import Tensor

from wgan.serve.base.errors import BackendUnavailable, ConfigError, OutputError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.paths import named_path
from wgan.training.measures.transparency import on_white

AUTO = "auto"
# of weights-inception-2015-12-05-6726825d.pth, which pytorch-fid has under the name pt_inception-…
OFFICIAL = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BATCH = 32  # images at a time: about 1 GB of activations
TIMEOUT = 15.0  # seconds without a byte, after which a download has failed
_CHUNK = 2**20

ProgressFn = Callable[[int, int, str], None]  # done, total, what


class Inception:
    """8-bit images → features and logits.

    Args:
        path: a state dict of torch-fidelity's `FeatureExtractorInceptionV3`.
        device: where it runs, in float32 without TF32.

    Raises:
        ConfigError: the file cannot be read, is damaged, or holds no such network.
        BackendUnavailable: torch-fidelity is not installed.
    """

    def __init__(self, path: Path, device: torch.device):
        library = _library()
        content = _read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.device = device
        # the library unpickles without a check what it is given: it gets tensors that were read with one
        clean = io.BytesIO()
        torch.save(_state(content, path), clean)
        clean.seek(0)
        try:
            network = library.FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=clean
            )
        except RuntimeError:  # load_state_dict's, hundreds of lines long
            raise ConfigError(_not_these(path)) from None
        self._network = network.to(device)

    @property
    def official(self) -> bool:
        """Whether these are the weights that published figures were made with."""
        return self.sha256 == OFFICIAL

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> tuple[Tensor, Tensor]:
        """Features (N, 2048) and logits without bias (N, 1008), float32 on the device.

        Args:
            images: uint8 (N, H, W, C); grey (C = 1) is repeated to three channels, straight RGBA (C = 4) laid on white.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(on_white(images))).to(self.device).permute(0, 3, 1, 2)
        pixels = pixels.expand(-1, 3, -1, -1)  # (N, 3, H, W)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features, logits = self._network(pixels)
        return features, logits


def open_inception(wanted: str, device: torch.device, progress: ProgressFn | None = None) -> Inception:
    """The network with the weights of a file, or with the library's own for ``auto``.

    `auto` takes the file that torch-fidelity has downloaded before (in `torch.hub`'s folder), or downloads it there.

    Raises:
        ConfigError: a file was named, and it is missing, damaged, or not such weights.
        BackendUnavailable: torch-fidelity is not installed, or its weights cannot be had.
    """
    if wanted != AUTO:
        path = named_path(wanted, "the Inception weights", file=True)
        if not path.is_file():
            raise ConfigError(f"no file of Inception weights {wanted!r}: {_how_to_get()}, or say {AUTO}")
        return Inception(path, device)
    path = _cached()
    if not _is_official(path):
        _download(path, progress)
    return Inception(path, device)


def inception_or_reason(wanted: str, device: torch.device, progress: ProgressFn | None = None) -> Inception | str:
    """The network of `open_inception`; if ``auto`` finds no weights, one line with the reason and what to do.

    Raises:
        ConfigError, BackendUnavailable: a file was named, and it is of no use.
    """
    try:
        return open_inception(wanted, device, progress)
    except BackendUnavailable as error:
        if wanted != AUTO:
            raise
        return f"no FID: {error}; or give a file with --inception-weights"


def _library() -> Any:
    try:
        from torch_fidelity import feature_extractor_inceptionv3
    except ImportError:
        raise BackendUnavailable("Inception needs torch-fidelity", extra="train") from None
    return feature_extractor_inceptionv3


def _url() -> str:
    return str(_library().URL_INCEPTION_V3)


def _how_to_get() -> str:
    return f"get {_url()}"


def _not_these(path: Path) -> str:
    return f"{path} does not hold the weights of torch-fidelity's Inception: {_how_to_get()}"


def _cached() -> Path:
    """Where the library keeps its weights."""
    return Path(torch.hub.get_dir(), "checkpoints", _url().rpartition("/")[2])


def _is_official(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == OFFICIAL
    except OSError:
        return False


def _download(path: Path, progress: ProgressFn | None) -> None:
    """Fetches the official weights to ``path``, where they appear once they are whole and checked."""
    cannot = f"the Inception weights cannot be downloaded from {_url()}"
    content = bytearray()
    try:
        with urlopen(_url(), timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK):
                content += chunk
                if progress is not None:
                    progress(len(content), max(len(content), total), "downloading the Inception weights, bytes")
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise BackendUnavailable(f"{cannot}: {' '.join(str(reason).split())}") from None
    if hashlib.sha256(content).hexdigest() != OFFICIAL:
        raise BackendUnavailable(f"{cannot}: what came is not them")
    try:
        atomic_write(path, bytes(content))
    except OutputError as error:
        raise BackendUnavailable(f"the Inception weights cannot be kept: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


def _state(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights. Nothing else in it is ever run."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # on bytes that are no pickle its unpickler fails in any way there is
        raise ConfigError(f"{path} is damaged or no file of PyTorch weights: {_how_to_get()}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(_not_these(path))
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise ConfigError(f"{path} holds weights that are not finite: {_how_to_get()}")
    return state
