"""What people read: in colour on a terminal alone, in ASCII where there is no more, and silent when asked to be."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from wgan.serve.base import paint, terminal


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which a terminal has colours."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def on_a_terminal(text: str) -> str:
    """What a terminal gets of a result."""
    with redirect_stdout(Tty()) as stream:
        terminal.emit({}, text, False)
    return stream.getvalue()


TEXT = f"one {paint.as_verdict('holds')} two {paint.as_verdict('FAILS')} three {paint.as_verdict('not run')}"


def test_a_terminal_shows_verdicts_in_colour() -> None:
    assert on_a_terminal(TEXT) == "one \x1b[32mholds\x1b[0m two \x1b[31mFAILS\x1b[0m three \x1b[33mnot run\x1b[0m\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colour_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert on_a_terminal(TEXT) == "one holds two FAILS three not run\n"


def test_a_pipe_gets_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.emit({}, TEXT, False)
    assert capsys.readouterr().out == "one holds two FAILS three not run\n"


def test_foreign_text_neither_steers_nor_colours() -> None:
    assert on_a_terminal("\x1b[2Ja\ud800") == "\ufffd[2Ja\ufffd\n"
    with redirect_stderr(Tty()) as stream:
        terminal.say(paint.painted("a file's name", "red"))
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("verdict", "style"),
    [
        ("holds", "green"),
        ("holds (1.2e-06 on cpu)", "green"),
        ("yes", "green"),
        ("no", "red"),
        ("not run", "yellow"),
        ("not measured", "yellow"),
        ("DOES NOT HOLD (0.1 on cpu)", "red"),
        ("does not run", "red"),
        ("is not known to run", "yellow"),
        ("nothing", None),
        ("the reference", None),
    ],
)
def test_each_verdict_has_its_colour(verdict: str, style: str | None) -> None:
    assert paint.style_of(verdict) == style


def test_a_stream_of_ascii_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    terminal.emit({}, "NAME-000000.tar, … ±T ähre", False)
    assert raw.getvalue() == b"NAME-000000.tar, ... +/-T \\xe4hre\n"


def test_quiet_silences_lines_but_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.quiet():
        terminal.say("a line")
        terminal.fault("what is wrong")
    assert capsys.readouterr().err == "what is wrong\n"


def test_details_are_for_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.detail("not asked for")
    with terminal.verbose():
        terminal.detail("asked for")
    terminal.detail("not any more")
    assert capsys.readouterr().err == "asked for\n"
