"""Whether each backend runs here, on each device: what it runs with, or what is missing and what mends it."""

from dataclasses import dataclass

from wgan.serve.backends.onnxrt.verdict import verdict as onnx_verdict
from wgan.serve.backends.pytorch.verdict import torch_verdict, torchscript_verdict
from wgan.serve.backends.trt.verdict import verdict as trt_verdict
from wgan.serve.machine.gpu import Driver
from wgan.serve.machine.requirements import Gap


@dataclass(frozen=True)
class Verdict:
    """Whether something runs on one device: with what, or why not and what mends it.

    ``runs`` is None where it is not known: ``fix`` then tries it.
    """

    what: str
    device: str
    runs: bool | None
    why: str
    fix: str | None = None


_LOOKS = (
    ("onnx", onnx_verdict),
    ("torchscript", torchscript_verdict),
    ("torch", torch_verdict),
    ("trt", trt_verdict),
)


def backends(driver: Driver | None) -> list[Verdict]:
    """A verdict for each backend on each device that it knows."""
    found = []
    for name, look in _LOOKS:
        for device in ("cpu", "cuda") if name != "trt" else ("cuda",):
            result = look(device, driver)
            if isinstance(result, str):
                found.append(Verdict(name, device, True, result))
            else:
                found.append(Verdict(name, device, False if isinstance(result, Gap) else None, result.why, result.fix))
    return found
