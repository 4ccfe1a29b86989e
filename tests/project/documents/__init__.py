"""The commands of the README and the documentation, run as they are written."""
