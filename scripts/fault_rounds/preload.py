"""What every process of a round needs, loaded once, before it is forked."""

from contextlib import suppress

import wgan.cli
import wgan.plan
import wgan.serve.sampling.run
from wgan.serve.backends.onnxrt.runtime import load

with suppress(ImportError):
    load()
