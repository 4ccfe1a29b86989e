"""A checkpoint run by PyTorch at a reduced precision, held to the same gates as an exported file."""

from collections.abc import Callable
from pathlib import Path

from wgan.export import parity
from wgan.export.reference.torch_backend import TorchBackend
from wgan.serve.base.errors import ParityError
from wgan.serve.bench.precision import backend_speeds, hopeless, short_type

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


def open_faster(path: Path, device: str, say: Callable[[str], object]) -> TorchBackend:
    """The generator in a checkpoint in float32, or in a shorter type where that is faster here and close enough.

    ``say`` is told which it is and why.

    Raises:
        WganError: as `TorchBackend`.
    """
    with TorchBackend(path, device) as exact:
        if (speeds := hopeless(exact.device)) is None:
            short = short_type(exact.device)
            with TorchBackend(path, device, short) as other:
                speeds = backend_speeds({"fp32": exact, short: other})
    say(speeds.line("--precision auto"))
    if speeds.choice != "fp32":
        try:
            return open_reduced(path, device, speeds.choice)
        except ParityError as error:
            say(f"--precision auto: fp32 all the same, as {error}")
    return TorchBackend(path, device)


def in_words(backend: TorchBackend) -> str:
    """What was measured, in a line."""
    report = backend.metadata.parity or {}
    figures = f"mean {report['mean_abs']:.1e}, worst PSNR {report['worst_psnr_db']:.0f} dB"
    return (
        f"{backend.path} in {backend.metadata.precision} on {backend.device}: {report['images']} images are within "
        f"{report['max_abs']:.1e} of float32 ({figures})"
    )
