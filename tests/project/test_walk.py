"""The first walk in the docs is what a terminal of 80 columns showed, and its commands are today's."""

import os
import re
from pathlib import Path

import pytest
from docs_walk import COLUMNS, PAGE, WALK, Typed, capture, filled


def blocks() -> dict[str, list[str]]:
    found = re.findall(
        r"<!-- capture: (\w+) -->\n```console\n(.*?)```\n<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL
    )
    return {name: text.splitlines() for name, text in found}


def test_the_page_holds_the_whole_walk_in_80_columns() -> None:
    shown = blocks()
    assert list(shown) == list(WALK)
    for name, lines in shown.items():
        typed = [words for one in WALK[name] for words in (one.command, one.meanwhile) if words is not None]
        assert [line[2:] for line in lines if line.startswith("$ ")] == typed
        assert len(lines) > len(WALK[name])
        assert max(map(len, lines)) <= COLUMNS


def test_what_the_page_shows_of_a_stop_is_what_is_typed_next() -> None:
    shown = blocks()
    stopped = " ".join(shown["train"])
    assert "saved" in stopped
    assert WALK["resume"][0].command in stopped
    assert re.search(r"best: step|last and best", " ".join(shown["resume"]))


def test_a_capture_is_what_stands_on_the_screen_at_the_end(tmp_path: Path) -> None:
    redrawn = r"printf 'step 1\rstep 2\n'; printf 'gone\r\033[K'; tput cols; exit 3"
    assert capture(Typed(redrawn), tmp_path, os.environ) == (["step 2", str(COLUMNS)], 3)


def test_a_capture_keeps_what_has_left_the_screen(tmp_path: Path) -> None:
    lines, code = capture(Typed("seq 100"), tmp_path, os.environ)
    assert (lines, code) == ([str(n) for n in range(1, 101)], 0)


@pytest.mark.slow
def test_what_is_typed_meanwhile_stands_below(tmp_path: Path) -> None:
    program = "trap 'exit 130' INT; echo ready; while [ ! -e seen ]; do sleep 0.1; done; echo found; sleep 60"
    typed = Typed(program, stop_at="ready", meanwhile="touch seen; sleep 1; ls")
    lines, code = capture(typed, tmp_path, os.environ)
    assert code == 130
    assert lines == ["ready", "found", "^C", "", "$ touch seen; sleep 1; ls", "seen"]


@pytest.mark.slow
def test_ctrl_c_is_typed_where_the_words_are_seen(tmp_path: Path) -> None:
    program = "trap 'echo stopped; exit 130' INT; echo ready; while :; do sleep 0.1; done"
    lines, code = capture(Typed(program, stop_at="ready"), tmp_path, os.environ)
    assert code == 130
    assert lines[0] == "ready"
    assert lines[-1].endswith("stopped")


def test_only_captures_that_were_made_are_put_into_a_page() -> None:
    page = "a\n<!-- capture: one -->\nold\n<!-- end -->\nb\n<!-- capture: two -->\nkept\n<!-- end -->\n"
    new = filled(page, {"one": ["$ x", "y"]})
    assert new == page.replace("old\n", "```console\n$ x\ny\n```\n")
