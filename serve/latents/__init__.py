"""Latents: the table that makes a seed an image, truncation, and other sources of them."""
