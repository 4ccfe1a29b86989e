"""Where wgan was installed from, and what is said to install: tried in whole environments by tests/project."""

import json
import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests import ROOT
from wgan.serve.base.privacy import without_paths
from wgan.serve.machine import install, installer, requirements
from wgan.serve.machine.install import install_command

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


class Distribution:
    """An installed package, with what its installer recorded."""

    requires = metadata.requires("wgan")

    def __init__(self, record: str | None):
        self.record = record

    def read_text(self, name: str) -> str | None:
        return self.record if name == "direct_url.json" else None


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, here: Path) -> Any:
    """Makes this an installed wgan of which the installer recorded something."""
    monkeypatch.setattr(install, "CODE", here / "site-packages" / "wgan")
    monkeypatch.setattr(installer, "_on_path", lambda program: True)

    def make(record: object) -> None:
        text = record if isinstance(record, str) or record is None else json.dumps(record)
        monkeypatch.setattr(metadata, "distribution", lambda name: Distribution(text))

    return make


def words(extra: str | None) -> list[str]:
    said = shlex.split(install_command(extra))
    assert said[:2] == ["pip", "install"]
    return said[2:]


@pytest.mark.parametrize("extra", ["train", "trt", "trt-rtx", "onnx", "onnx-cpu"])
@pytest.mark.parametrize("record", [None, "{", "[]", {}, {"url": 3}, {"url": "file:///gone.whl", "archive_info": {}}])
def test_where_nothing_is_known_the_extras_own_packages_are_named(recorded: Any, extra: str, record: object) -> None:
    recorded(record)
    listed = [Requirement(line) for line in EXTRAS[extra]]
    if extra == "train":
        listed += [Requirement(line) for line in EXTRAS["onnx"]]
    wanted = {
        (entry.name, frozenset(entry.extras), entry.specifier)
        for entry in listed
        if entry.name != "wgan" and (entry.marker is None or entry.marker.evaluate())
    }
    assert {(e.name, frozenset(e.extras), e.specifier) for e in map(Requirement, words(extra))} == wanted


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"url": "https://a.example/w.whl", "archive_info": {}}, "wgan[train] @ https://a.example/w.whl"),
        (
            {"url": "https://a.example/w", "vcs_info": {"vcs": "git", "commit_id": "abc"}, "subdirectory": "deep/er"},
            "wgan[train] @ git+https://a.example/w@abc#subdirectory=deep/er",
        ),
    ],
)
def test_an_address_is_installed_from_again(recorded: Any, record: object, said: str) -> None:
    recorded(record)
    assert words("train") == [said]


def test_a_folder_is_installed_from_as_it_was_with_the_versions_that_it_lists(recorded: Any, here: Path) -> None:
    folder = here.parent / "a checkout"
    folder.mkdir()
    for editable in (False, True):
        recorded({"url": folder.as_uri(), "dir_info": {"editable": editable}})
        assert words("trt") == [*(["-e"] if editable else []), f"{folder}[trt]"]
    (folder / "constraints.txt").touch()
    assert words("trt") == ["-e", f"{folder}[trt]", "-c", f"{folder}/constraints.txt"]


def test_a_python_that_the_shell_does_not_find_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = tmp_path / "my env"
    monkeypatch.setattr(sys, "executable", str(env / "bin/python"))
    monkeypatch.setattr(sys, "prefix", str(env))
    monkeypatch.setattr(installer.sysconfig, "get_path", lambda name: str(env / "bin"))
    there = {"pip", "ensurepip"}
    monkeypatch.setattr(installer, "find_spec", lambda name: name if name in there else None)
    on_path: dict[str, str] = {"pip": "/usr/bin/pip", "python": "/usr/bin/python"}
    monkeypatch.setattr(installer.shutil, "which", on_path.get)
    python = f"'{env}/bin/python'"
    monkeypatch.chdir("/")
    assert installer.installer() == f"{python} -m pip install"
    assert installer.uninstaller() == f"{python} -m pip uninstall -y"
    monkeypatch.chdir(tmp_path)
    assert installer.installer() == "'my env/bin/python' -m pip install"
    on_path["python"] = f"{env}/bin/python"
    assert installer.installer() == "python -m pip install"
    on_path["pip"] = f"{env}/bin/pip"
    assert installer.installer() == "pip install"
    there.remove("pip")
    assert installer.installer() == "python -m ensurepip && python -m pip install"
    on_path["uv"] = "/usr/bin/uv"
    monkeypatch.setenv("VIRTUAL_ENV", "/another")
    assert installer.installer() == "uv pip install --python python"
    monkeypatch.setenv("VIRTUAL_ENV", str(env))
    assert installer.installer() == "uv pip install"
    assert installer.uninstaller() == "uv pip uninstall"


def test_the_code_alone_is_told_in_words(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    monkeypatch.setattr(requirements.metadata, "requires", absent)
    assert install_command("trt") == "install what pyproject.toml lists for the extra trt"


@pytest.mark.parametrize("folder", ["/home/ann/the-wgan", "/home/ann/my secret's [copy]/wgan"])
def test_what_is_kept_of_a_command_names_no_folder(folder: str) -> None:
    python = shlex.quote(f"{folder}/.venv/bin/python")
    for word in (f"{folder}[trt]", f"wgan[trt] @ file://{folder}/w.whl", f"git+file://{folder}/w.git@abc"):
        kept = without_paths(f"TensorRT is not installed: {python} -m pip install {shlex.quote(word)}")
        assert not {"home", "ann", "secret", "copy"} & set(kept.replace("/", " ").replace("'", " ").split())
        assert "-m pip install" in kept
