"""Fetches ONNX Runtime Web's files into the user's cache, for `wgan export --format web` without a network.

`python scripts/web_runtime.py [FILE]`, with FILE as `npm pack` writes it; without one by npm. What is there already is
not fetched again.
"""

import sys
from pathlib import Path

from wgan.export.formats.web.ort_web import VERSION, cache, ort_web
from wgan.serve.base.errors import WganError

if __name__ == "__main__":
    try:
        files = ort_web(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except WganError as error:
        sys.exit(f"web_runtime: {error}")
    print(f"ONNX Runtime Web {VERSION}: {len(files)} files in {cache()}")
