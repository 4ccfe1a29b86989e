"""Environments of their own for other runtimes: made once, whole or missing, and said so."""

import sys
from pathlib import Path

import apart
import interop_environments
import pytest
from apart import Apart, Missing
from interop_environments import ENVIRONMENTS, fetch, found, main


class Installer:
    """Stands in for pip: remembers what it was asked for, and fails for one package."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: str = ""):
        self.asked: list[tuple[str, ...]] = []
        self.refuses = refuses
        monkeypatch.setattr(interop_environments, "make_environment", self.make)
        monkeypatch.setattr(interop_environments, "run", self.run)

    def make(self, folder: Path) -> list[str]:
        (folder / "bin").mkdir(parents=True)
        return ["pip"]

    def run(self, *command: str) -> None:
        if self.refuses and self.refuses in command[1]:
            raise Missing("could not be fetched: no network")
        self.asked.append(command)


def test_one_that_was_not_fetched_is_missed_with_what_fetches_it(tmp_path: Path) -> None:
    for name in ENVIRONMENTS:
        with pytest.raises(Missing, match=f"python scripts/interop_environments.py fetch {name}$"):
            found(name, tmp_path)


def test_it_is_made_once_and_anew_when_its_pins_or_python_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = Installer(monkeypatch)
    python = fetch("opencv-4", tmp_path)
    assert fetch("opencv-4", tmp_path) == found("opencv-4", tmp_path) == python
    assert installer.asked == [("pip", *ENVIRONMENTS["opencv-4"].packages)]
    monkeypatch.setattr(sys, "base_prefix", "/another")
    with pytest.raises(Missing):
        found("opencv-4", tmp_path)
    assert fetch("opencv-4", tmp_path) == python
    assert len(installer.asked) == 2


def test_the_newer_python_gets_what_it_has_wheels_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interop_environments, "PYTHON", "3.11")
    assert ENVIRONMENTS["torch-old"].packages == ("torch==2.0.1", "numpy==1.26.4")
    monkeypatch.setattr(interop_environments, "PYTHON", "3.12")
    assert ENVIRONMENTS["torch-old"].packages == ("torch==2.2.0", "numpy==1.26.4")
    assert ENVIRONMENTS["opencv-4"].packages[0] == ENVIRONMENTS["opencv-4"].runtime


def test_unasked_the_small_ones_come_and_one_that_cannot_be_had_keeps_none_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installer = Installer(monkeypatch, refuses="opencv")
    assert main(["--folder", str(tmp_path), "fetch"]) == 2
    said = capsys.readouterr()
    assert "interop_environments: opencv-4: could not be fetched: no network" in said.err
    assert [Path(line) for line in said.out.splitlines()] == [found("onnxruntime-old", tmp_path)]
    assert [command[1] for command in installer.asked] == [ENVIRONMENTS["onnxruntime-old"].packages[0]]
    installer.refuses = ""
    assert main(["--folder", str(tmp_path), "fetch", "opencv-4"]) == 0  # what was cut short is made anew


def test_a_name_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fetch", "opencv-3"])
    assert ended.value.code == 2
    assert "opencv-3: not one of opencv-4, onnxruntime-old, torch-old" in capsys.readouterr().err


def test_of_a_folder_that_others_use_only_the_own_parts_are_made_anew(tmp_path: Path) -> None:
    for part in ("env", "others"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "file").touch()
    Apart(tmp_path, "state").make(lambda: None, "env")
    assert [path.name for path in sorted(tmp_path.rglob("file"))] == ["file"]
    assert (tmp_path / "others" / "file").exists()
    assert Apart(tmp_path, "state").whole
    assert not Apart(tmp_path, "another state").whole


def test_a_command_that_fails_is_told_by_its_last_line() -> None:
    script = "import sys; print('first', file=sys.stderr); sys.exit('the reason')"
    with pytest.raises(Missing, match="^could not be fetched: the reason$"):
        apart.run(sys.executable, "-c", script)
