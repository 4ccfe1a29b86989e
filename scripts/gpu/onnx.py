"""Exported files on the device: does ONNX Runtime's CUDA start, do they equal PyTorch, and images a second."""

import tempfile
from pathlib import Path

from gpu.models import exported, generator
from gpu.rows import Here, Row
from wgan.export.recipe import file_name
from wgan.serve.backends.onnxrt import runtime
from wgan.serve.backends.onnxrt.providers import cuda_gap, tensorrt_gap
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import BackendUnavailable, WganError
from wgan.serve.bench.speed import measure_speed
from wgan.serve.machine.install import install_command

FIGURES = ("device", "max_abs", "mean_abs", "worst_psnr_db", "chunks_max_abs")
FILES = (("fp32", "float32"), ("fp16", "float32"), ("fp16", "uint8"))
TINY_FILES = (("fp32", "float32"), ("fp16", "uint8"))


def run(here: Here) -> None:
    """A row a provider, then one a file: of a plain generator, and of one with classes in float32."""
    try:
        ort = runtime.load()
    except ImportError:
        ort = None
        here.not_run("ONNX Runtime", f"it is not installed: {install_command('onnx')}")
    if here.cuda and ort is not None:
        for name, gap in (("CUDA", cuda_gap), ("TensorRT", tensorrt_gap)):
            lacks = gap(ort)
            if lacks is None:
                here.tell(f"{name} provider", ok=True, onnxruntime=ort.__version__)
            else:
                here.not_run(f"{name} provider", str(lacks))
    elif not here.cuda:
        here.not_run("CUDA provider", "for a GPU alone; the files below run on the CPU")
    files = TINY_FILES if here.tiny else FILES
    for classes in (None, ("a", "b", "c")):
        made = generator(here, classes)
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("torchscript", "onnx"):
                for precision, output in files[:1] if classes else files:
                    name = file_name(kind, precision, output)
                    what = f"{name}, {len(classes)} classes" if classes else name
                    if here.short_of(what, 0 if here.tiny else 5):
                        continue
                    try:
                        written = exported(here, made, Path(folder), kind, precision, output)
                    except BackendUnavailable as error:
                        here.not_run(what, str(error))
                        continue
                    except WganError as error:
                        here.tell(what, ok=False, why=str(error))
                        continue
                    report = written.metadata.parity or {}
                    rates = {} if classes else speeds(here, written.path)
                    here.tell(what, ok=written.passed, **{key: report[key] for key in FIGURES}, **rates)


def speeds(here: Here, path: Path) -> Row:
    """Images a second by batch."""
    batches, seconds = ((1, 8), 0.02) if here.tiny else ((1, 64, 256), 1.0)
    with open_backend(path, device=here.device.type) as backend:
        return {f"images/s at {size}": measure_speed(backend, size, seconds)["images_per_second"] for size in batches}
