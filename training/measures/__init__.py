"""How good generated images are: sliced Wasserstein, feature distances, diversity."""
