"""`python -m wgan`: the command line."""

import sys

from wgan.cli import main

if __name__ == "__main__":
    sys.exit(main())
