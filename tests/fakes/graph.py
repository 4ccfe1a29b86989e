"""CUDA graphs on a CPU: a recorder that remembers operations and their tensors, and nothing that Python decided."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


def tensors(tree: Any) -> list[Tensor]:
    """Those that have memory: autograd's symbolic zeros have none."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and not leaf._is_zerotensor()]


def memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def as_now(tree: Any) -> Any:
    """The same memory under the shapes of now: what `unsqueeze_` does to a tensor later is not done to these."""
    return tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)


class _Remembering(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, Any]] = []  # keeps every tensor, so no memory is used twice
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.born: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing\n(a CUDA error goes on for lines)")
        given = tensors((args, kwargs))
        for tensor in given:
            if memory(tensor) not in self.born | self.before.keys():
                whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())  # type: ignore[call-overload]
                self.before[memory(tensor)] = whole, whole.clone()
        before = as_now((args, kwargs))
        result = func(*args, **kwargs)
        self.born |= {memory(t) for t in tensors(result)} - {memory(t) for t in given}
        self.done.append((func, *before, as_now(result)))
        return result


class FakeRecorder:
    """As `CudaRecorder`: recording leaves every tensor and the generator as they were.

    A replay repeats the operations on the tensors of the recording, at their places. Reading a number from the
    device is refused while recording, as on CUDA.
    """

    def __init__(self, random: torch.Generator):
        self.random = random
        self.recorded = self.replayed = self.aside_calls = 0

    def aside(self, step: Callable[[], None]) -> None:
        self.aside_calls += 1
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        mode, state = _Remembering(), self.random.get_state()
        try:
            with mode:
                step()
        finally:
            self.random.set_state(state)
            with torch.no_grad():
                for whole, copy in mode.before.values():
                    whole.copy_(copy)
        self.recorded += 1

        @torch.no_grad()
        def replay() -> None:
            self.replayed += 1
            for func, args, kwargs, result in mode.done:
                args, kwargs = as_now((args, kwargs))
                given = {memory(tensor) for tensor in tensors((args, kwargs))}
                for place, value in zip(tensors(result), tensors(func(*args, **kwargs)), strict=True):
                    if memory(place) not in given:  # else it is a view, or was changed in place
                        place.copy_(value)

        return replay
