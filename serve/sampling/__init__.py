"""Seeds to images: what was asked for, and one run of it."""
