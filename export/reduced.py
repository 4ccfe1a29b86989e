"""A checkpoint run by PyTorch at a reduced precision, held to the same gates as an exported file."""

from pathlib import Path

from wgan.export import parity
from wgan.serve.errors import ParityError
from wgan.training.deploy import TorchBackend

MAX_BATCH = 16  # of the probes: some 40 images, a fraction of a second


def open_reduced(path: Path, device: str, precision: str) -> TorchBackend:
    """The generator in a checkpoint, in fp16 or bf16, with its parity report in its metadata.

    Nobody has measured it before, as nothing was exported: it is done here, each time.

    Raises:
        ParityError: it is too far from float32.
        WganError: as `TorchBackend`.
    """
    backend = TorchBackend(path, device, precision)
    try:
        report = parity.measure(backend, backend.generator.module, MAX_BATCH)
        if not report["passed"]:
            failures = "; ".join(parity.failures(report))
            raise ParityError(f"{path} in {precision} does not match float32: {failures}; use another --precision")
    except BaseException:
        backend.close()
        raise
    backend.metadata = backend.metadata.replace(parity=report)
    return backend


def in_words(backend: TorchBackend) -> str:
    """What was measured, in a line."""
    report = backend.metadata.parity or {}
    figures = f"mean {report['mean_abs']:.1e}, worst PSNR {report['worst_psnr_db']:.0f} dB"
    return (
        f"{backend.path} in {backend.metadata.precision} on {backend.device}: {report['images']} images are within "
        f"{report['max_abs']:.1e} of float32 ({figures})"
    )
