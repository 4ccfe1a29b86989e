"""The versions on which an image's bytes may depend."""

import platform
from functools import cache

from PIL import features

from wgan.serve.artifacts.formats import BACKENDS
from wgan.serve.machine.requirements import installed, packages

ENCODERS = ("wgan", "numpy", "pillow", "deflate")


@cache
def versions(backend: str) -> dict[str, str]:
    """Of what an image's pixels, and the bytes of its file, may depend on beside the artifact."""
    extras = BACKENDS[backend].extras if backend in BACKENDS else ()
    own = {name: installed(name) for name in ENCODERS}
    runtime = {package.name: package.installed for package in packages(extras) if package.extra is not None}
    libraries = {
        "python": platform.python_version(),
        "webp": features.version("webp") if features.check("webp") else None,
    }
    return {name: version for name, version in (own | libraries | runtime).items() if version is not None}
