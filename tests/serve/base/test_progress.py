"""What is shown while work goes on: on a terminal, in a log, and nothing on stdout."""

import io
import re
import subprocess
import sys

import pytest

from wgan.serve.base import progress as base
from wgan.serve.base.progress import counter, duration
from wgan.training.run.progress import Progress

VALUES = {
    "wasserstein": 12.3456,
    "penalty": 0.01234,
    "grad_norm": 1.0234,
    "images_per_second": 23456.7,
    "swd": 75.31,
    "critic_loss": 99.0,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(base.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def without_control(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_log_gets_the_first_line_then_one_every_ten_seconds_and_the_last(clock):
    log = io.StringIO()
    with Progress(1000, stream=log) as shown:
        for step in range(1, 251):
            clock[0] += 0.1
            shown.update(step, VALUES)
    lines = [line for line in log.getvalue().splitlines() if line.startswith("step ")]
    assert [int(re.match(r"step (\d+) of 1,000", line)[1]) for line in lines] == [1, 101, 201, 250]
    for word in (
        "23,457 images/s",
        "W 12.3",
        "penalty 0.0123",
        "grad norm 1.02",
        "SWD 75.3",
        "1 min 15 s left",
    ):
        assert word in lines[-1]
    assert "\x1b" not in log.getvalue()
    assert "\r" not in log.getvalue()


def test_each_figure_is_explained_once_before_it_is_first_seen(clock):
    for stream in (io.StringIO(), Terminal()):
        with Progress(1000, stream=stream) as shown:
            for step in range(1, 40):
                clock[0] += 5
                shown.update(step, VALUES | ({"fid": 50.0} if step > 20 else {}))
        lines = without_control(stream.getvalue()).splitlines()
        legend = [line for line in lines if re.match("(W|penalty|grad norm|SWD|FID): ", line)]
        assert [line.partition(":")[0] for line in legend] == ["W", "penalty", "grad norm", "SWD", "FID"]
        assert all("good" in line or "better" in line for line in legend)
        first = next(index for index, line in enumerate(lines) if "SWD 75.3" in line)
        assert lines.index(legend[3]) < first


def test_a_run_that_goes_on_is_not_explained_again(clock):
    log = io.StringIO()
    with Progress(1000, first_step=900, stream=log) as shown:
        shown.update(910, VALUES)
    assert "better" not in log.getvalue()


def test_the_live_lines_lose_no_figure_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    terminal = Terminal()
    with Progress(40_000, first_step=12_345, stream=terminal) as shown:
        shown.update(12_346, VALUES)
    lines = re.split(r"[\r\n]+", without_control(terminal.getvalue()))
    assert any("SWD 75.3" in line for line in lines)
    assert max(map(len, lines)) <= 44


def test_the_last_line_is_not_repeated(clock):
    log = io.StringIO()
    with Progress(10, stream=log) as shown:
        shown.update(1, {})
    assert len(log.getvalue().splitlines()) == 1


def test_the_last_line_of_a_log_has_what_was_measured_after_the_last_step(clock):
    stream = io.StringIO()
    with Progress(6, stream=stream) as progress:
        progress.update(6, {"swd": 80.0})
        progress.update(6, {"swd": 35.04})
    assert stream.getvalue().splitlines()[-1] == "step 6 of 6  SWD 35.0"


def test_values_stay_until_they_are_replaced(clock):
    log = io.StringIO()
    with Progress(10, stream=log) as shown:
        shown.update(1, {"swd": 50.0})
        shown.update(2, {"wasserstein": 1.0})
    assert "SWD 50.0" in log.getvalue().splitlines()[-1]


def test_the_time_left_of_a_resumed_run_counts_from_where_it_began(clock):
    log = io.StringIO()
    with Progress(1000, first_step=900, stream=log) as shown:
        clock[0] += 20
        shown.update(910, {})
    assert "3 min 00 s left" in log.getvalue()


def test_a_terminal_gets_lines_of_at_most_eighty_columns_and_its_cursor_back():
    terminal = Terminal()
    with Progress(40_000_000, first_step=12_345_678, stream=terminal) as shown:
        shown.update(12_345_679, VALUES)
    text = terminal.getvalue()
    assert text.endswith("\x1b[?25h")
    lines = re.split(r"[\r\n]+", without_control(text))
    assert "W 12.3 · penalty 0.0123 · grad norm 1.02 · SWD 75.3" in lines
    assert any(line.startswith("step 12,345,679/40,000,000") for line in lines)
    assert max(map(len, lines)) <= 80


def test_notes_appear_as_they_are_written_on_both():
    for stream in (io.StringIO(), Terminal()):
        with Progress(10, stream=stream) as shown:
            shown.note("kept [bold]run[/bold] 3")
        assert "kept [bold]run[/bold] 3" in without_control(stream.getvalue())


def test_what_takes_long_between_two_steps_is_shown_while_it_lasts(clock):
    log = io.StringIO()
    with Progress(10, stream=log) as shown:
        shown.update(1, VALUES)
        for done in range(0, 60, 3):
            clock[0] += 3
            shown.doing(done, 57, "Inception, generated images")
    lines = [line for line in log.getvalue().splitlines() if "Inception" in line]
    assert lines == [f"Inception, generated images: {done} of 57" for done in (9, 21, 33, 45)]
    terminal = Terminal()
    with Progress(10, stream=terminal) as shown:
        shown.doing(2048, 10_000, "Inception, generated images")
        shown._live.refresh()
        assert "Inception, generated images: 2,048 of 10,000" in without_control(terminal.getvalue())
        shown.doing(10_000, 10_000, "Inception, generated images")
        before = len(terminal.getvalue())
        shown._live.refresh()
        assert "Inception" not in terminal.getvalue()[before:]


def test_a_dumb_terminal_is_treated_as_a_log(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with Progress(10, stream=terminal) as shown:
        shown.update(1, VALUES)
    assert "\x1b" not in terminal.getvalue()


def test_work_that_is_soon_over_shows_nothing(clock):
    log = io.StringIO()
    with counter("reading", stream=log) as progress:
        for done in range(1, 101):
            progress(done, 100, "")
    assert log.getvalue() == ""


def test_a_counter_in_a_log_writes_lines_ten_seconds_apart_and_the_end(clock):
    log = io.StringIO()
    with counter("reading", stream=log) as progress:
        for done in range(1, 31):
            clock[0] += 1
            progress(done, 30, "drawing" if done == 30 else "")
    lines = log.getvalue().splitlines()
    assert lines[0] == "reading: 2 of 30, 28 s left"
    assert [line.split(",")[0] for line in lines[1:]] == [
        "reading: 12 of 30",
        "reading: 22 of 30",
        "drawing: 30 of 30",
    ]


def test_a_counter_on_a_terminal_draws_a_bar_and_takes_it_away():
    terminal = Terminal()
    with counter("reading", stream=terminal, quiet=0) as progress:
        progress(1, 2, "")
        progress(2, 2, "")
    text = without_control(terminal.getvalue())
    assert "reading" in text
    assert "2/2" in text
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is erased
    assert max(map(len, re.split(r"[\r\n]+", text))) <= 80


def test_the_bar_is_closed_when_the_work_fails():
    terminal = Terminal()

    def fail():
        with counter("reading", stream=terminal, quiet=0) as progress:
            progress(1, 2, "")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert "\x1b[?25h" in terminal.getvalue()


def test_nothing_reaches_stdout(capsys):
    with Progress(2) as shown:
        shown.update(1, VALUES)
        shown.note("saved")
    with counter("reading", quiet=0) as progress:
        progress(1, 2, "")
    out, err = capsys.readouterr()
    assert out == ""
    assert "saved" in err
    assert "reading: 1 of 2" in err


def test_rich_is_not_imported_before_it_is_needed():
    code = "import sys, wgan.serve.base.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3599.7, "1 h 00 min"),
     (7620, "2 h 07 min"), (273_600, "3 d 04 h")],
)  # fmt: skip
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text
