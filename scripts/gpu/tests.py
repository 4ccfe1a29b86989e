"""The tests marked gpu, a row a file. A file that does not import here is a row too, and stops no other."""

import importlib.util
import re
from pathlib import Path
from typing import Any

from gpu.rows import Here, Row

ROOT = Path(__file__).parents[2]


class Rows:
    """A plugin of pytest that tells of each file as soon as its last test is over."""

    def __init__(self, here: Here):
        self._here, self._file = here, ""
        self._forget()

    def _forget(self) -> None:
        self._passed, self._skipped, self._failed = 0, set[str](), list[str]()

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported."""
        if not report.failed:
            return
        said = str(report.longrepr)
        if (missing := re.search(r"No module named '([\w.]+)'", said)) is not None:
            self._here.not_run(report.nodeid, f"{missing[1]} is not installed")
        else:
            self._here.tell(report.nodeid, ok=False, why=last_words(said))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One of the three parts of a test."""
        file, _, test = report.nodeid.partition("::")
        if file != self._file:
            self.tell()
            self._file = file
        if report.failed:
            self._failed.append(f"{test}: {last_words(str(report.longrepr))}")
        elif report.skipped:
            self._skipped.add(str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr))
        elif report.when == "call":
            self._passed += 1

    def tell(self) -> None:
        """The row of the file that is over."""
        if not self._file:
            return
        if self._passed or self._failed:
            figures: Row = {"passed": self._passed, "skipped": sorted(self._skipped), "failed": self._failed}
            self._here.tell(self._file, ok=not self._failed, **figures)
        else:
            self._here.not_run(self._file, "; ".join(sorted(self._skipped)).removeprefix("Skipped: "))
        self._forget()


def last_words(text: str) -> str:
    """What an error's report ends with."""
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E ")]
    return (lines or [line for line in text.splitlines() if line.strip()] or ["?"])[-1][:200]


def run(here: Here) -> None:
    """Collects and runs them in this process."""
    if importlib.util.find_spec("pytest") is None:
        here.not_run("pytest", "pytest is not installed")
        return
    import pytest

    # only files that have such tests: others may import what is not installed here
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text("utf-8")]
    if here.tiny:
        files = files[-4:]  # their imports take seconds
    asked = [f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), "-m", "gpu", "-p", "no:cacheprovider"]
    rows = Rows(here)
    code = pytest.main([*asked, "--continue-on-collection-errors", *map(str, files)], plugins=[rows])
    rows.tell()
    # 0 all held, 1 a test failed, 2 a file did not import, 5 there was nothing to run: each has its row
    if code not in (0, 1, 2, 5):
        here.tell("pytest", ok=False, why=f"ended with {int(code)}")
