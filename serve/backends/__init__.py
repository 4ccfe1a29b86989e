"""What runs a generator: `base` is the interface, `open` opens an artifact, each runtime has a folder."""
