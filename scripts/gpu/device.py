"""Versions, and the peaks that every other figure is held against."""

import torch
from bench_shared import machine, seconds

from gpu.rows import Here, Row
from wgan.serve.bench.peak import torch_peak
from wgan.serve.machine.gpu import query_driver
from wgan.serve.machine.requirements import installed

PACKAGES = (
    "torch", "torchvision", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx",
    "cuda-bindings", "torch-fidelity", "pytest",
)  # fmt: skip


def run(here: Here) -> None:
    """What is here, TFLOP/s of products in each precision, and GB/s of a copy within the device's memory."""
    versions: Row = {name: version for name in PACKAGES if (version := installed(name)) is not None}
    here.tell("versions", **versions)
    here.tell("machine", **machine(here.device))
    if here.cuda:
        gpu = torch.cuda.get_device_properties(here.device)
        here.tell(
            "GPU",
            name=gpu.name,
            compute_capability=f"{gpu.major}.{gpu.minor}",
            memory_gib=gpu.total_memory / 2**30,
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
            driver=str(query_driver()),
        )
    else:
        here.not_run("GPU", "there is none: everything below ran on the CPU and is no figure of a GPU")
    size = 256 if here.tiny else 8192
    peaks: Row = {name: torch_peak(here.device, name, size) / 1e12 for name in ("fp32", "bf16", "fp16")}
    if here.cuda:
        torch.backends.cuda.matmul.allow_tf32 = True
        peaks["tf32"] = torch_peak(here.device, "fp32", size) / 1e12
    here.tell("peaks, TFLOP/s", **peaks)
    held = torch.empty(2**20 if here.tiny else 2**30, dtype=torch.uint8, device=here.device)
    other = torch.empty_like(held)
    spans = [seconds(lambda: other.copy_(held), here.device) for _ in range(10)]
    here.tell("copy", gb_per_second=2 * held.numel() / min(spans) / 1e9)  # read and written
