"""One iteration of WGAN-GP: losses, critic and generator steps, and what makes them fast."""
