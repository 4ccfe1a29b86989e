"""The generator that is installed with the package; `scripts/train_builtin.sh` made it, and makes it again."""
