"""Numbers of every kind behind every option: taken, or one line that names the option."""

import json

import pytest

from wgan.cli import main

HUGE, DIGITS = "18446744073709551616", "9" * 5000
NOT_WHOLE = ["1.5", "1e3", "٣", "x", "", "nan", "inf", "0x10", "½", "1__0", "--1"]
SAMPLE = ["sample", "--model", "faces", "--out", "a.npy", "-n", "2"]
WHOLE = [
    (["sample", "--model", "faces"], "-n"),
    *((SAMPLE, option) for option in ("--seed", "--batch-size", "--threads", "--shard-size")),
    (["sample", "--interpolate", "1", "2"], "--steps"),
    (["sample", "--interpolate", "1"], "--interpolate"),
    *((["eval", "--model", "none.onnx"], option) for option in ("-n", "--seed", "--batch-size")),
    (["bench", "--model", "none.onnx"], "--repeats"),
    *((["serve", "--model", "faces"], option) for option in ("--port", "--queue", "--workers", "--batch-size")),
    *((["export", "--format", "onnx", "--run", "none"], option) for option in ("--opset", "--max-batch")),
    *((["export", "--format", "triton", "--run", "none"], f"--triton-{name}")
      for name in ("queue", "instances", "threads")),
]  # fmt: skip
REAL = [
    (SAMPLE, "--truncation"),
    *((["bench", "--model", "none.onnx"], option) for option in ("--seconds", "--at-least")),
    *((["serve", "--model", "faces"], option) for option in ("--drain-delay", "--drain-timeout")),
    (["export", "--format", "triton", "--run", "none"], "--triton-wait"),
]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that ends with code 2."""
    capsys.readouterr()
    assert main(words) == 2, words
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert len(line) < 200
    return line.removeprefix("wgan: ")


@pytest.mark.parametrize(("words", "option"), WHOLE, ids=[f"{words[0]} {option}" for words, option in WHOLE])
def test_what_is_no_whole_number_is_said_with_its_option(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words if option in words else [*words, option]
    for value in NOT_WHOLE:
        line = refused([*given, value], capsys)
        assert line.startswith(f"{option} {value or repr(value)} is not a whole number"), line
    assert refused([*given, DIGITS], capsys).startswith(f"{option} 999")


@pytest.mark.parametrize(("words", "option"), REAL, ids=[f"{words[0]} {option}" for words, option in REAL])
def test_what_is_no_number_is_said_with_its_option(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in ("x", "", "٣", "1,5"):
        assert refused([*words, option, value], capsys).startswith(f"{option} {value or repr(value)} is not a number")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample", "--model", "faces", "-n", HUGE], f"-n {HUGE} is more than there are seeds, 2^63"),
        (["eval", "--model", "none.onnx", "-n", HUGE], f"-n {HUGE} is more than there are seeds, 2^63"),
        ([*SAMPLE, "--seed", HUGE], f"--seed {HUGE} is outside its range, 0 to 2^63 - n"),
        ([*SAMPLE, "--batch-size", HUGE], f"--batch-size {HUGE} is outside its range, 1 to 1,048,576"),
        ([*SAMPLE, "--threads", HUGE], f"--threads {HUGE} is outside its range, 1 to 1024"),
        (["sample", "--interpolate", "1", HUGE], f"--interpolate {HUGE} is outside its range, 0 to 2^63 - 1"),
        (["serve", "--model", "faces", "--queue", HUGE], f"--queue {HUGE} is outside its range, 1 to 1,000,000"),
        (["bench", "--model", "none.onnx", "--batch-size", DIGITS], "--batch-size 999"),
        (["bench", "--model", "none.onnx", "--batch-size", "٣"], "--batch-size ٣ is not a list such as 1,16,64"),
        (["bench", "--model", "none.onnx", "--repeats", HUGE], f"--repeats {HUGE} is outside its range, 0 to 100"),
        (["train", "--dry-run", "steps=٣"], "steps='٣' is not a whole number"),
        (["train", "--dry-run", "lr_g=٣"], "lr_g='٣' is not a number"),
        (["train", "--dry-run", f"steps={HUGE}"], f"steps={HUGE} is outside its range, 1 to 100,000,000"),
    ],
)
def test_what_is_out_of_range_is_said_with_its_option_and_range(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"wgan: {says}"[:190])


def test_a_number_that_was_meant_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    said = "-n 1e3 is not a whole number: write 1000. See `wgan sample --help`."
    assert refused(["-v", "sample", "-n", "1e3"], capsys) == said
    assert main(["sample", "-n", "1e3", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_numbers_are_taken_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("+1", "0_1", " 1 "):
        assert main(["sample", "-n", value, "--model", "none.onnx"]) == 2
        assert "no file none.onnx" in capsys.readouterr().err
