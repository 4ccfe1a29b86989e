"""What every process of a round needs, loaded once, before it is forked."""

from contextlib import suppress

from wgan.serve.backends.onnxrt.runtime import load

with suppress(ImportError):
    load()
