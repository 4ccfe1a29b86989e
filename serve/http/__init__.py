"""The HTTP server: a generator behind `wgan serve`."""
