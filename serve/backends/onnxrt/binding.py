"""An ONNX Runtime session whose inputs and outputs stay on its device, through OrtValue alone: no torch needed."""

from collections import OrderedDict
from typing import Any

import numpy as np

KEPT = 4  # batch sizes whose buffers are kept


class BoundSession:
    """Runs a session on buffers that stay: a batch is copied in, computed, and its images copied out.

    Without them ONNX Runtime takes and gives back memory for inputs and outputs at every run.

    Args:
        ort: the onnxruntime module.
        session: an inference session.
        device: as ONNX Runtime calls it: cuda.
        image: the shape of one image.
        dtype: its type.
    """

    def __init__(self, ort: Any, session: Any, device: str, image: tuple[int, ...], dtype: str):
        self._ort, self._session, self._device = ort, session, device
        self._image, self._dtype = image, np.dtype(dtype)
        self._bound: OrderedDict[int, tuple[Any, dict[str, Any], Any]] = OrderedDict()

    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """The images (N, …) of inputs (N, …) by name, each contiguous."""
        binding, values, output = self._buffers(inputs)
        for name, array in inputs.items():
            values[name].update_inplace(array)
        self._session.run_with_iobinding(binding)  # returns when the output is there
        images: np.ndarray = output.numpy()  # from a GPU, a copy
        return images

    def close(self) -> None:
        """Frees the buffers."""
        self._bound.clear()

    def _buffers(self, inputs: dict[str, np.ndarray]) -> tuple[Any, dict[str, Any], Any]:
        """The buffers of this batch size; the least recently used size makes room."""
        count = len(inputs["z"])
        if count in self._bound:
            self._bound.move_to_end(count)
            return self._bound[count]
        if len(self._bound) == KEPT:
            self._bound.popitem(last=False)
        values = {name: self._value(array.shape, array.dtype) for name, array in inputs.items()}
        output = self._value((count, *self._image), self._dtype)
        binding = self._session.io_binding()
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("image", output)
        self._bound[count] = binding, values, output
        return self._bound[count]

    def _value(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return self._ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, self._device, 0)
