"""How Triton is to serve a generator: what `wgan export --format triton` is told."""

from dataclasses import dataclass

from wgan.serve.backends.base import check_device
from wgan.serve.backends.trt.api import load_tensorrt
from wgan.serve.base.errors import ConfigError, ExportError

FORMATS_OF = {"onnxruntime": "onnx", "tensorrt": "trt"}  # Triton's backend → the format that it loads
ALONE = (
    "and Triton loads TensorRT's engines alone: install wgan's extra trt on the machine with the GPU and export there, "
    "or use --triton-backend onnxruntime"
)
QUEUE_IMAGES = 1024  # that wait at most, as in `wgan serve`; Triton counts requests, and one has an image at least
WAIT = 1.0  # seconds
LONGEST_WAIT = 3600.0
MOST = 1024  # instances, and threads
BOUNDS: dict[str, tuple[float, float]] = {
    "queue": (1, 10**6),
    "wait": (0.001, LONGEST_WAIT),
    "instances": (1, MOST),
    "threads": (1, MOST),
}


@dataclass(frozen=True)
class Settings:
    """How Triton is to serve the model.

    Args:
        backend: Triton's: onnxruntime or tensorrt.
        device: where its instances run.
        max_batch: images that it makes at once.
        queue: requests that may wait; what comes beyond is refused at once.
        wait: seconds that a request may wait before it is refused.
        instances: copies of the model, each with a batch of its own; on GPUs so many on each.
        threads: of an operator on the CPU, in each instance; None for one a core.
    """

    backend: str = "onnxruntime"
    device: str = "auto"
    max_batch: int = 256
    queue: int = QUEUE_IMAGES
    wait: float = WAIT
    instances: int = 1
    threads: int | None = None

    def check(self) -> None:
        """Refuses what cannot be served, before anything is exported.

        Raises:
            ConfigError: an unknown backend or device, an engine on the CPU, or a number out of its range.
        """
        if self.backend not in FORMATS_OF:
            raise ConfigError(f"--triton-backend {self.backend} is not one of {', '.join(FORMATS_OF)}")
        check_device(self.device)
        if (self.backend, self.device) == ("tensorrt", "cpu"):
            raise ConfigError("--triton-backend tensorrt runs on CUDA only: use onnxruntime for the CPU")
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # NaN neither
                raise ConfigError(f"--triton-{name} {value:g} is outside its range, {low:g} to {high:,.15g}")
        if self.threads is not None and self.backend == "tensorrt":
            raise ConfigError("--triton-threads is of ONNX Runtime on the CPU: an engine has none")

    def check_builder(self) -> None:
        """Refuses an engine that `write_repository` would refuse, before time is spent on building it.

        Raises:
            BackendUnavailable: no TensorRT here.
            ExportError: the one that is here builds engines that Triton cannot load.
        """
        if FORMATS_OF[self.backend] == "trt" and (name := load_tensorrt().__name__) != "tensorrt":
            raise ExportError(f"here is {name}, {ALONE}")
