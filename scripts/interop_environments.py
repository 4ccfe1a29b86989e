"""Old and other runtimes that tests/interop runs artifacts in: `python scripts/interop_environments.py fetch [NAME …]`.

Each has an environment of its own below the user's cache; nothing goes into .venv. Without a name it fetches the small
ones, as `scripts/test.sh` does.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apart import PYTHON, Apart, Missing, cache, make_environment, run

OLD_NUMPY = "numpy==1.26.4"  # the last that what was built for numpy 1 can load


@dataclass(frozen=True)
class Environment:
    """What is installed, and how much that is on disk.

    Args:
        runtime: the package, at the oldest version that has wheels for Python 3.11.
        beside: what it runs with.
        megabytes: of the folder.
        newer: of the package, where Python is 3.12.
    """

    runtime: str
    beside: tuple[str, ...]
    megabytes: int
    newer: str = ""

    @property
    def small(self) -> bool:
        """Whether it is fetched unasked."""
        return self.megabytes < 500

    @property
    def packages(self) -> tuple[str, ...]:
        """As they are named to an installer, for this Python."""
        return (self.newer if self.newer and PYTHON != "3.11" else self.runtime, *self.beside)


ENVIRONMENTS = {
    "opencv-4": Environment("opencv-python-headless==4.14.0.94", ("numpy==2.4.6",), 220),
    "onnxruntime-old": Environment("onnxruntime==1.15.1", (OLD_NUMPY,), 116, newer="onnxruntime==1.17.0"),
    # its wheel needs NVIDIA's libraries on any machine
    "torch-old": Environment("torch==2.0.1", (OLD_NUMPY,), 4200, newer="torch==2.2.0"),
}


def place(name: str, folder: Path | None = None) -> Apart:
    """Where the environment of that name lies, below ``folder`` or the user's cache."""
    state = "\n".join((*ENVIRONMENTS[name].packages, sys.base_prefix, PYTHON, ""))
    return Apart((folder or cache()).absolute() / f"interop-{name}-py{PYTHON}", state)


def found(name: str, folder: Path | None = None) -> Path:
    """The Python of an environment that was fetched. Raises Missing where it was not."""
    apart = place(name, folder)
    if not apart.whole:
        raise Missing(f"needs {ENVIRONMENTS[name].runtime}: python scripts/interop_environments.py fetch {name}")
    return apart.folder / "env" / "bin" / "python"


def fetch(name: str, folder: Path | None = None) -> Path:
    """Makes the environment, or brings it up to date; quick where it is there. Its Python. Raises Missing."""
    apart, wanted = place(name, folder), ENVIRONMENTS[name]

    def install() -> None:
        print(f"interop_environments: {wanted.packages[0]}, {wanted.megabytes} MB on disk", file=sys.stderr)
        run(*make_environment(apart.folder / "env"), *wanted.packages)

    apart.make(install, "env")
    return found(name, folder)


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 2 where one cannot be had; the others are fetched all the same."""
    parser = argparse.ArgumentParser(description="other runtimes, each in an environment of its own")
    parser.add_argument("--folder", type=Path, help=f"where they are installed [default: {cache()}]")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("fetch", help="install them")
    small = [name for name, each in ENVIRONMENTS.items() if each.small]
    command.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(ENVIRONMENTS)} [{', '.join(small)}]")
    asked = parser.parse_args(words)
    if unknown := set(asked.names) - set(ENVIRONMENTS):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(ENVIRONMENTS)}")
    code = 0
    for name in asked.names or small:
        try:
            print(fetch(name, asked.folder))
        except Missing as missing:
            print(f"interop_environments: {name}: {missing}", file=sys.stderr)
            code = 2
    return code


if __name__ == "__main__":
    sys.exit(main())
