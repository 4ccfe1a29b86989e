"""What a deployed machine needs: artifacts, latents, backends and the command line. Never needs torch."""

from wgan.serve.backends.onnxrt.runtime import be_silent

be_silent()
