"""Commands that are shown can be pasted, and what is counted has the right noun."""

import shlex

import pytest

from wgan.serve.base.command import command
from wgan.serve.base.terminal import counted
from wgan.training.config import parse_overrides


def test_a_command_can_be_pasted_whatever_a_folder_is_called():
    shown = command("train", "--resume", "--run", "my runs/it's", lr_g=5e-05, steps=10)
    assert shlex.split(shown) == ["wgan", "train", "--resume", "--run", "my runs/it's", "lr_g=5e-05", "steps=10"]


@pytest.mark.parametrize("settings", [{"lr_g": 0.1 + 0.2, "steps": 10}, {"conditional": True, "background": "white"}])
def test_settings_are_read_again_as_they_were(settings):
    assert parse_overrides(shlex.split(command("train", **settings))[2:]) == settings


@pytest.mark.parametrize(
    ("number", "words", "shown"),
    [(1, ["image"], "1 image"), (2, ["image"], "2 images"), (1000, ["class", "classes"], "1,000 classes")],
)
def test_one_is_no_plural(number, words, shown):
    assert counted(number, *words) == shown
