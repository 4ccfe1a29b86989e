"""Turns a checkpoint into artifacts and proves that each equals PyTorch.

The package can be called: `wgan.export(run, "onnx")` is `wgan.export.from_run.export`.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from wgan.serve.base.errors import BackendUnavailable


class _CallablePackage(ModuleType):
    """A package that is a function too.

    `wgan.export` is both the documented function and this package, and Python sets the name to the package as soon
    as any module in it is imported: a function put there would be gone after the first `import wgan.export.exporter`.
    So the name is always the package, and the package can be called, whatever was imported before.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            function = self.__wrapped__
        except ModuleNotFoundError as error:
            raise BackendUnavailable(f"wgan.export needs {error.name}", extra="train") from None
        return function(*args, **options)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        # where `inspect.signature`, and so a notebook's help, looks
        from wgan.export.from_run import export

        return export


sys.modules[__name__].__class__ = _CallablePackage
