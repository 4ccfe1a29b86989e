"""Where images go: pixels, and a folder, page, array, archive, film or set of shards of them."""
