"""Turns images into a checkpoint of a WGAN-GP generator."""
