"""The pictures of generated images in docs/: `python scripts/docs_pictures.py [NAME=MODEL …]`.

Without words those of the built-in generator: faces.png, truncation.png and interpolation.png. `emoji=runs/emoji`
writes emoji.png from the artifact of that run, and so on for any name. `--beside RUN RUN` joins the last sample grids
of two runs of scripts/compare_options.py: demo-before-and-after.png.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_shared import say
from PIL import Image

import wgan
from wgan.cli import main as main_of_wgan
from wgan.serve.base.errors import BackendError, ConfigError, WganError
from wgan.serve.base.files import atomic_write
from wgan.serve.outputs.pixels import encode_png, grid

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLUMNS, ROWS = 10, 4
GAP = 20  # pixels between two grids
SIDE = 64  # pixels of an image on a page, about
TRUNCATIONS: tuple[dict[str, Any], ...] = ({}, *({"truncation": t} for t in (2.0, 1.0, 0.5)))


def write(name: str, images: Any) -> None:
    """A page of uint8 (N, H, W, C), ten in a row; small images are enlarged to be seen."""
    times = max(1, SIDE // images.shape[1])
    images = images.repeat(times, axis=1).repeat(times, axis=2)
    path = DOCS / f"{name}.png"
    atomic_write(path, encode_png(grid(images, columns=COLUMNS)))
    say(f"wrote {path.name}")


def beside(runs: list[Path]) -> None:
    """The upper halves of the last sample grids of two runs, side by side."""
    newest = [max((run / "samples").glob("step-*.png"), default=None) for run in runs]
    if None in newest:
        raise ConfigError(f"no samples in {' or '.join(map(str, runs))}")
    whole = [opened(path) for path in newest if path is not None]
    left, right = (picture[: len(picture) // 2] for picture in whole)
    gap = np.full((len(left), GAP, left.shape[2]), 255, np.uint8)
    path = DOCS / "demo-before-and-after.png"
    atomic_write(path, encode_png(np.concatenate([left, gap, right], axis=1)))
    say(f"wrote {path.name}")


def opened(path: Path) -> Any:
    """A picture's pixels, uint8 (H, W, C)."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def built_in() -> None:
    """The pages of the built-in generator."""
    with wgan.load("faces") as generator:
        write("faces", generator.sample(COLUMNS * ROWS))
        write("truncation", np.concatenate([generator.sample(COLUMNS, **words) for words in TRUNCATIONS]))
    write("interpolation", np.concatenate([way(*ends) for ends in ((3, 11, "blue"), (20, 6, "red"))]))


def way(first: int, last: int, label: str) -> Any:
    """The images between two seeds, as `wgan sample --interpolate` makes them."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "way.npy"
        words = ["--interpolate", str(first), str(last), "--steps", str(COLUMNS), "--label", label]
        if main_of_wgan(["sample", "--model", "faces", *words, "--out", str(out)]):
            raise BackendError("the way between two seeds could not be made")
        return np.load(out)


def main() -> int:
    """Writes what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", metavar="NAME=MODEL")
    parser.add_argument("--beside", nargs=2, type=Path, metavar="RUN")
    try:
        asked = parser.parse_args()
        if asked.beside:
            beside(asked.beside)
        elif not asked.pictures:
            built_in()
        for word in asked.pictures:
            name, _, model = word.partition("=")
            with wgan.load(model) as generator:
                write(name, generator.sample(COLUMNS * ROWS))
    except WganError as error:
        say(f"docs_pictures: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
