"""How a generator becomes a file of each format."""
