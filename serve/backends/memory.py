"""A runtime's errors as wgan's: running out of memory, which a smaller batch mends, is told apart from the rest."""

import re

from wgan.serve.base.command import RUNNERS, or_again
from wgan.serve.base.errors import BackendError, BackendOutOfMemory
from wgan.serve.base.terminal import counted

SIGNS = re.compile(
    "can't allocate memory"  # torch on the CPU
    "|could not create a primitive(?! desc)"  # oneDNN under torch: creating one takes memory, describing it does not
    "|failed to allocate memory"  # ONNX Runtime's arena, on the CPU and on CUDA
    "|out of memory"  # CUDA, as torch and ONNX Runtime pass it on
    "|_status_alloc_failed"  # cuBLAS and cuDNN
    "|bad_alloc",  # C++
    re.IGNORECASE,
)


def runtime_failure(runtime: str, error: Exception, batch: int) -> BackendError:
    """What to raise for ``error``, which ``runtime`` raised in a batch of ``batch``; one line."""
    if isinstance(error, BackendError):  # told already
        return error
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or SIGNS.search(text):
        images = counted(batch, "image") if batch > 1 else "one image"
        told = f"{runtime} ran out of memory for {images} at a time"
        if batch == 1:
            return BackendOutOfMemory(f"{told}: free some")
        return BackendOutOfMemory(f"{told}: free some, or use {or_again('--batch-size', batch // 2, of=RUNNERS)}")
    return BackendError(f"{runtime} failed: {text[:200]}")
