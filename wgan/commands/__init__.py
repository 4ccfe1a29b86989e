"""The commands of `wgan`, a file each."""
