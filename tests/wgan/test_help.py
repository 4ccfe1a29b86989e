"""Help is in groups with examples that work, readable on any terminal, and mistakes name the help of their command."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from wgan.cli import app, main
from wgan.training.config import FIELDS, from_dict, parse_overrides

PROGRAM: Any = typer.main.get_command(app)
COMMANDS = list(PROGRAM.commands)
EXAMPLES = [
    (name, words) for name, command in PROGRAM.commands.items() for _, words in getattr(command, "examples", ())
]


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [44, 80, 120])
@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, help_of(capsys, *words).splitlines())) <= width


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_described_by_a_type_or_in_one_long_list(capsys: pytest.CaptureFixture[str], name: str) -> None:
    shown = help_of(capsys, name)
    assert not re.search(r"\b(INTEGER|TEXT|PATH|FLOAT|VALUE|BOOLEAN)\b|<(int|str|float|path|list)", shown)
    groups = re.split(r"\n(?=[A-Z][^\n]*:\n)", shown)
    assert max(len(re.findall(r"^  -", group, re.MULTILINE)) for group in groups) <= 10
    for option in ("-h, --help", *(("-q, --quiet", "-v, --verbose") if name != "help" else ())):
        assert option in shown


def test_the_20_options_of_sample_are_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys, "sample")
    titles = ["What to make:", "Which generator:", "Where to:", "How to run:", "Advanced:", "General:", "Examples:"]
    places = [shown.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)


def test_the_help_of_train_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys, "train")
    assert set(FIELDS) <= set(shown.split())
    assert "`wgan settings NAME`" in shown


@pytest.mark.parametrize(("name", "words"), EXAMPLES)
def test_examples_are_commands_that_are_understood(name: str, words: str) -> None:
    program, *rest = shlex.split(words)
    assert program == "wgan"
    with PROGRAM.make_context("wgan", rest[:1]) as context:
        command = PROGRAM.commands[rest[0]]
        with command.make_context(rest[0], rest[1:], parent=context) as own:
            from_dict(parse_overrides(own.params.get("overrides") or []))
    assert rest[0] in (name, "eval" if name == "evaluate" else name)


def test_every_command_ends_in_two_to_four_examples_of_itself() -> None:
    of = {name: [words for each, words in EXAMPLES if each == name] for name in COMMANDS if name != "help"}
    assert all(2 <= len(examples) <= 4 for examples in of.values()), of
    assert all(words.startswith(f"wgan {name}") for name, examples in of.items() for words in examples)


@pytest.mark.parametrize("width", [44, 80])
def test_an_example_can_be_pasted_as_it_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = help_of(capsys, "sample").partition("Examples:\n")[2].replace(" \\\n", " ")
    assert "wgan sample -n 1000 --seed 5000 --out images.npy" in re.sub(" +", " ", shown)


@pytest.mark.parametrize("name", ["sample", "train"])
def test_help_is_plain_ascii_where_there_is_no_more_and_has_no_colour_in_a_pipe(name: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-m", "wgan", name, "-h"], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b"\x1b" not in done.stdout
    assert b"wgan" in done.stdout


def test_help_may_be_asked_for_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [help_of(capsys, "sample")]
    for words in (["sample", "-h"], ["help", "sample"]):
        assert main(words) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].strip() == shown[1].strip() == shown[2].strip()
    for words in ([], ["-h"], ["help"]):
        assert main(words) == 0
        shown.append(capsys.readouterr().out.strip())
    assert shown[3] == shown[4] == shown[5]
    assert main(["help", "smaple"]) == 2
    assert "'sample'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample", "-n", "many"], "See `wgan sample --help`."),
        (["sample", "--colour"], "See `wgan sample --help`."),
        (["export"], "See `wgan export --help`."),
        (["smaple"], "Did you mean 'sample'? See `wgan --help`."),
        (["--colour"], "See `wgan --help`."),
    ],
)
def test_a_usage_error_names_where_its_command_is_explained(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(says)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "--steps", "10"], "wgan train steps=10"),
        (["train", "--steps=10"], "wgan train steps=10"),
        (["train", "-steps", "10"], "wgan train steps=10"),
        (["train", "--batch-size", "32"], "wgan train batch_size=32"),
        (["train", "--lr_g=1e-4", "--data", "my photos"], "wgan train lr_g=1e-4 --data 'my photos'"),
        (["train", "--conditional", "--resume"], "wgan train conditional=true --resume"),
        (["train", "--drift", "-1", "steps=3"], "wgan train drift=-1 steps=3"),
        (["demo", "--Steps", "10"], "wgan demo steps=10"),
        (["-q", "train", "--step", "10"], "wgan -q train steps=10"),
    ],
)
def test_a_setting_that_was_given_like_an_option_gets_the_command_that_was_meant(
    capsys: pytest.CaptureFixture[str], words: list[str], meant: str
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f": `{meant}`")
    first = next(word for word in shlex.split(meant) if "=" in word)
    assert line.startswith(f"wgan: settings are given as {first}")


def test_an_option_that_is_no_setting_is_not_taken_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--colour"]) == 2
    assert "No such option: --colour" in capsys.readouterr().err
    assert main(["export", "--steps", "10"]) == 2
    assert "settings are given" not in capsys.readouterr().err


def test_every_option_has_one_name_in_all_commands() -> None:
    """What is written goes to --out; no other option has `out` for its beginning."""
    for name, command in PROGRAM.commands.items():
        shown = [opt for param in command.params if not getattr(param, "hidden", False) for opt in param.opts]
        assert [opt for opt in shown if opt.startswith("--out")] in ([], ["--out"]), name


def test_the_old_name_of_pixels_works_and_is_not_shown(
    here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(tiny_export / "generator.pt")
    for option, folder in (("--pixels", "a"), ("--output", "b")):
        words = ["export", "--format", "onnx", "--checkpoint", source, "--out", folder, option, "uint8"]
        assert main(words) == 0
    assert [p.name for p in (here / "a").glob("*.onnx")] == [p.name for p in (here / "b").glob("*.onnx")]
    capsys.readouterr()
    assert "--output" not in help_of(capsys, "export")
