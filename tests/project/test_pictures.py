"""The scripts that make what the documentation shows: folders of real images, and pages of generated ones."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from wgan.training.recipes import look_at


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module(name)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_digits_are_grey_images_in_ten_class_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["real_images.py", "digits", str(tmp_path / "digits")])
    assert script("real_images", monkeypatch).main() == 0
    look = look_at(str(tmp_path / "digits"), count_faces=64)
    assert (look.images, look.side, look.grey, look.transparent, look.classes) == (1797, 8, 1.0, 0.0, 10)


def test_the_built_in_generators_pages_have_ten_images_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = script("docs_pictures", monkeypatch)
    monkeypatch.setattr(pictures, "DOCS", tmp_path)
    monkeypatch.setattr("sys.argv", ["docs_pictures.py"])
    assert pictures.main() == 0
    shapes = {path.stem: pixels(path).shape for path in tmp_path.iterdir()}
    assert shapes == {"faces": (266, 662, 3), "truncation": (266, 662, 3), "interpolation": (134, 662, 3)}
    shown, again = (pixels(folder / "faces.png") for folder in (ROOT / "docs", tmp_path))
    assert np.abs(shown - again).max() <= 2  # another CPU may round otherwise

    monkeypatch.setattr("sys.argv", ["docs_pictures.py", "x=nowhere.onnx"])
    assert pictures.main() == 2
    assert "nowhere.onnx" in capsys.readouterr().err
