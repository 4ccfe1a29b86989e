"""The C library's allocator, told to keep what a step frees.

Large tensors would else be given back to the system, and be mapped and zeroed anew, page by page, at every step:
at a batch of 1,024 that took as long as the step itself.
"""

import ctypes
import sys

# of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """For the whole process; False where the C library has no such setting, and nothing is changed."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl
        return False
    # no mappings apart from the heap, and a heap that does not shrink
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1))
