"""Folders of images that nobody here drew: `python scripts/real_images.py emoji|digits FOLDER`.

emoji   the 64 px pictures of the npm package emoji-datasource-google (3,786, transparent); needs npm
digits  scikit-learn's handwritten digits (1,797 of 8x8, grey), a folder each
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from bench_shared import say
from PIL import Image

EMOJI = "emoji-datasource-google@16.0.0"
INSIDE = "package/img/google/64/"


def emoji(folder: Path) -> int:
    """Unpacks the pictures out of the package; how many."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("real_images: npm is not installed")
    count = 0
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([npm, "pack", "--silent", EMOJI], cwd=place, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(place).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.name.startswith(INSIDE) and member.isfile():
                    source = packed.extractfile(member)
                    assert source is not None
                    (folder / Path(member.name).name).write_bytes(source.read())
                    count += 1
    return count


def digits(folder: Path) -> int:
    """Writes them as PNG files in class folders; how many."""
    from sklearn.datasets import load_digits

    data = load_digits()
    for number, (levels, label) in enumerate(zip(data.images, data.target, strict=True)):
        place = folder / str(label)
        place.mkdir(exist_ok=True)
        Image.fromarray(np.rint(levels * (255 / 16)).astype(np.uint8)).save(place / f"{number:04}.png")
    return len(data.target)


def main() -> int:
    """Makes the folder that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("emoji", "digits"))
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    count = {"emoji": emoji, "digits": digits}[asked.name](asked.folder)
    say(f"{count:,} images in {asked.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
