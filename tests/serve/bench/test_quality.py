"""Rows that other work disturbed are found, measured again, and kept or marked. By made-up rows and clocks."""

import re
from pathlib import Path
from typing import Any

import pytest

from wgan.serve.base.errors import BackendError
from wgan.serve.bench import peak as bench_peak
from wgan.serve.bench import side_by_side as bench
from wgan.serve.bench.conditions import conditions, lines
from wgan.serve.bench.gate import Gate
from wgan.serve.bench.page import render
from wgan.serve.bench.quality import judge, least_disturbed, quality
from wgan.serve.bench.text import to_text

Row = dict[str, Any]
MACHINE = {"name": "CPU", "threads": 2, "when": "now"}


def attempt(batch: int, rate: float, others: float | None = 0.0, spread: float = 0.05, **more: Any) -> Row:
    """What one process measured: of two cores `others` were busy with other work, and 0.2 are borne."""
    row = {"file": "generator.onnx", "path": "generator.onnx", "variant": "", "backend": "onnx", "precision": "fp32"}
    row |= {"provider": None, "bytes": 2**20, "parity": None, "device": "cpu", "batch": batch, "flops": 100}
    row |= {"images_per_second": rate, "uint8_images_per_second": rate, "p50_ms": 1.0, "p95_ms": 2.0, "spread": spread}
    row |= {"load_seconds": 0.5, "first_image_seconds": 1.5, "peak_memory": 2**30, "machine": "CPU"}
    row |= {"load_others": others, "load_limit": 0.2, "steal": 0.0, "throttled": None, "cpu_pressure": None}
    return row | more


def qualities(*cases: list[Row]) -> list[str]:
    return [row["quality"] for row in judge(cases)]


def test_259_images_a_second_at_batch_64_beside_5098_at_16_are_not_good() -> None:
    assert qualities([attempt(16, 5098.0)], [attempt(64, 259.0)]) == ["good", "unconfirmed"]
    # also where both of two sizes fell
    assert qualities([attempt(16, 5098.0)], [attempt(64, 259.0)], [attempt(256, 270.0)])[2] == "unconfirmed"
    # half is borne, and another file is nobody's neighbour
    assert qualities([attempt(16, 5098.0)], [attempt(64, 2600.0)]) == ["good", "good"]
    assert qualities([attempt(16, 5098.0)], [attempt(64, 259.0, path="other.onnx")]) == ["good", "good"]
    assert qualities([attempt(16, 5098.0)], [attempt(64, 259.0, variant="cuda")]) == ["good", "good"]


def test_what_is_out_of_line_again_and_undisturbed_is_real() -> None:
    small = [attempt(16, 5098.0)]
    assert qualities(small, [attempt(64, 259.0), attempt(64, 300.0)]) == ["good", "confirmed"]
    assert qualities(small, [attempt(64, 259.0), attempt(64, 500.0)]) == ["good", "unconfirmed"]  # which of them?
    assert qualities(small, [attempt(64, 259.0, others=1.5), attempt(64, 300.0)]) == ["good", "unconfirmed"]
    assert qualities(small, [attempt(64, 259.0), attempt(64, 5500.0)]) == ["good", "good"]


def test_others_beyond_the_rows_own_limit_mark_it() -> None:
    assert qualities([attempt(1, 10.0, others=0.19)], [attempt(2, 10.0, others=0.21)]) == ["good", "loaded"]
    assert qualities([attempt(1, 10.0, others=0.15, steal=0.1)]) == ["loaded"]
    assert qualities([attempt(1, 10.0, others=None, steal=None, load_limit=None)]) == ["good"]  # nobody knows
    assert qualities([attempt(1, 10.0, others=1.0, spread=0.9)]) == ["loaded"]
    assert qualities([attempt(1, 10.0, spread=0.3)]) == ["noisy"]


def test_one_attempt_is_kept_whole_and_it_is_the_least_disturbed() -> None:
    loaded, busier = attempt(1, 50.0, others=0.5), attempt(1, 60.0, others=1.5)
    noisy, slow, fast = attempt(1, 90.0, spread=0.4), attempt(1, 70.0, spread=0.01), attempt(1, 75.0, spread=0.2)
    failed = {"error": "no memory"}
    order = [fast, slow, noisy, loaded, busier, failed]
    for i, best in enumerate(order):
        assert least_disturbed(order[:i:-1] + [best]) is best
    row = judge([[loaded, fast, failed]])[0]
    assert row == {**fast, "quality": "good", "repeats": 2, "spread_between": pytest.approx(0.2)}
    assert judge([[loaded]])[0]["spread_between"] is None


class Bench:
    """`measure` with attempts that are made up: each case of `found` gives its rows one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        self.now, self.took, self.order, self.said = 0.0, 10.0, list[int](), list[str]()
        self.file = tmp_path / "generator.onnx"
        self.file.write_bytes(b"")
        monkeypatch.setattr(bench, "run_apart", self.apart)
        monkeypatch.setattr(bench, "describe", lambda _: {"file": "g", "path": "g", "variant": ""})

    def apart(self, module: str, words: list[str]) -> Row:
        batch = int(words[3])
        self.now += self.took
        self.order.append(batch)
        rows = self.found[batch]
        row = rows.pop(0) if len(rows) > 1 else rows[0]
        if isinstance(row, Exception):
            raise row
        return row

    def measure(self, repeats: int = 2, **found: Any) -> list[Row]:
        self.found = {int(name[1:]): rows for name, rows in found.items()}
        plan = bench.Plan([bench.Subject(self.file, "onnx")], sorted(self.found), "cpu", 1.0, repeats)
        said = lambda done, total, what: self.said.append(f"{what}: {done} of {total}")  # noqa: E731
        return bench.measure("m", plan, peak=lambda _: ("CPU fp32", 1e6), progress=said, clock=lambda: self.now)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path)


def test_what_was_disturbed_is_measured_again_after_all_the_others(made_up: Bench) -> None:
    rows = made_up.measure(
        _1=[attempt(1, 100.0)], _16=[attempt(16, 90.0, others=1.5), attempt(16, 900.0)], _64=[attempt(64, 1000.0)]
    )
    assert made_up.order == [1, 16, 64, 16]
    assert [row["images_per_second"] for row in rows] == [100, 900, 1000]
    assert [row["repeats"] for row in rows] == [0, 1, 0]
    assert rows[1]["share_of_peak"] == pytest.approx(100 * 900 / 1e6)  # of the attempt that is kept
    assert made_up.said[3:] == [
        "1 case again, for 30 s at most: 3 of 3",
        "again, as measured beside other work: g, batch 16: 3 of 4",
        "done: 4 of 4",
    ]


def test_repeats_are_bounded_in_number_and_in_time(made_up: Bench) -> None:
    noisy = [attempt(1, 10.0, spread=0.5)]
    assert [row["quality"] for row in made_up.measure(_1=noisy, _2=[attempt(2, 20.0)], repeats=2)] == ["noisy", "good"]
    assert made_up.order == [1, 2, 1, 1]
    made_up.order.clear()
    made_up.measure(_1=noisy, _2=[attempt(2, 20.0)], repeats=0)
    assert made_up.order == [1, 2]
    made_up.order.clear()
    # as long again as the first pass: the fourth would begin after that
    rows = made_up.measure(_1=noisy, _2=[attempt(2, 20.0, others=1.0)], repeats=9)
    assert made_up.order == [1, 2, 1, 2, 1]
    assert [row["repeats"] for row in rows] == [2, 1]


def test_a_repeat_that_fails_loses_nothing_and_what_cannot_run_is_not_repeated(made_up: Bench) -> None:
    lost = BackendError("killed by signal 9")
    rows = made_up.measure(_1=[attempt(1, 10.0, spread=0.5), lost], _2=[lost])
    assert made_up.order == [1, 2, 1, 1]
    assert (rows[0]["images_per_second"], rows[0]["quality"]) == (10, "noisy")
    assert rows[1]["error"] == "killed by signal 9"


def shown(*rows: Row, **more: Any) -> tuple[str, str]:
    """As text and as a page."""
    found = bench.Bench(MACHINE, {"CPU fp32": 4e9}, judge([[row] for row in rows]), **more)
    for row in found.rows:
        row |= {"peak": "CPU fp32", "share_of_peak": 0.5}
    return to_text(found), render(found)


def test_text_and_page_mark_every_row_in_doubt_and_say_the_conditions() -> None:
    text, page = shown(
        attempt(1, 500.0),
        attempt(16, 5098.0, others=0.1, repeats=1),
        attempt(64, 259.0),
        attempt(128, 6000.0, spread=0.3),
        attempt(256, 7000.0, others=1.4),
        before=0.42,
        doubtful_peaks=["CPU fp32"],
    )
    assert max(map(len, text.splitlines())) <= 80
    for figure in (" 500 ", " 5,098 ", " ?259 ", " ~6,000 ", " !7,000 ", "CPU fp32 !4"):
        assert figure in f"{text} "
    assert "other work: load average 0.4 before, 0.0 to 1.4 of 2 cores beside the figures" in text
    for sign in "?~!":
        assert sum(line.startswith(f"{sign} ") for line in text.splitlines()) == 1
    assert "= " not in text
    for word in ("unconfirmed", "noisy", "loaded"):
        assert f"<b>{word}</b>" in page
    assert "0.0 to 1.4 of 2 cores beside the figures" in page
    assert "GFLOP/s <b>loaded</b>" in page


def test_a_mark_is_explained_where_it_is_used_and_nowhere_else() -> None:
    assert "!" not in shown(attempt(1, 500.0))[0]
    assert "\n! slowed down" in shown(attempt(1, 500.0), doubtful_peaks=["CPU fp32"])[0]


def test_the_fastest_is_a_row_that_was_measured_well_or_is_marked() -> None:
    _, page = shown(attempt(1, 500.0), attempt(64, 9000.0, spread=0.4))
    assert re.search("<b>500</b> images/s<small>generator.onnx · [^<]* · batch 1 · [^<]*</small></dd>", page)
    _, page = shown(attempt(1, 500.0, others=1.0), attempt(64, 9000.0, others=1.0))
    assert re.search("<b>9,000</b> images/s <b>loaded</b><small>generator.onnx · [^<]* · batch 64 · ", page)


def test_conditions_count_the_cases_and_what_the_host_took() -> None:
    rows = judge([[attempt(1, 1.0, others=1.0), attempt(1, 2.0, others=1.0)], [attempt(2, 1.0, steal=0.4)]])
    found = conditions([*rows, {"error": "no"}], None)
    assert found["load_others"] == {"least": 0, "median": 0.5, "most": 1.0}
    assert (found["cases"], found["repeated"], found["doubtful"]) == (3, 1, 2)
    assert lines(found | {"throttled": 0.5}, 2) == [
        "other work: 0.0 to 1.0 of 2 cores beside the figures",
        "the host of this virtual machine took up to 0.4 cores away",
        "this process's own quota held up to 0.5 cores back, which no repeat changes",
        "1 of 3 cases measured again, 2 in doubt still",
    ]
    quiet = lines(conditions([attempt(1, 1.0), attempt(2, 1.0)], 12.4), 1)
    assert quiet == ["other work: load average 12.4 before, 0.0 of 1 core beside the figures"]
    unknown = conditions([attempt(1, 1.0, others=None, steal=None)], None)
    assert (unknown["load_others"], unknown["steal"]) == (None, None)
    assert lines(unknown, 2) == ["other work: not known here"]


def gate(*rows: Row) -> Gate:
    return Gate("g", judge([[row] for row in rows]), 100.0)


def test_a_gate_that_fails_by_badly_measured_rows_says_so() -> None:
    failed = gate(attempt(1, 50.0), attempt(64, 60.0, others=1.0))
    assert (failed.passed, failed.undecided) == (False, True)
    assert failed.line() == (
        "g makes 50 images/s at its best batch, fewer than 100; not decided, as what could not be measured well is "
        "batch 64 (measured beside other work)"
    )
    plain = gate(attempt(1, 50.0), attempt(64, 60.0))
    assert (plain.passed, plain.undecided) == (False, False)
    assert plain.line() == "g makes 60 images/s at its best batch, fewer than 100"
    assert gate().rate == 0


def test_a_gate_that_holds_by_a_badly_measured_row_says_so_too() -> None:
    assert gate(attempt(1, 150.0), attempt(64, 160.0, spread=0.5)).line() is None
    held = gate(attempt(1, 50.0), attempt(64, 160.0, spread=0.5))
    assert (held.passed, held.undecided) == (True, False)
    assert held.line() == "g: enough at batch 64 (noisy), which can only be too low"


def test_a_peak_that_was_measured_beside_other_work_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = {"load_others": 1.0, "load_limit": 0.2, "steal": 0.0}
    answers = [{"peak": 3e9, **busy}, {"peak": 4e9, **busy, "load_others": 0.1}]
    monkeypatch.setattr(bench_peak, "run_apart", lambda *_: answers.pop(0))
    row = {"device": "cpu", "backend": "onnx", "precision": "fp32"}
    peaks = bench_peak.Peaks("m")
    assert peaks(row) == ("CPU fp32", 4e9)
    assert (peaks.doubtful, answers) == ([], [])
    answers += [{"peak": rate, **busy} for rate in (3e9, 5e9, 4e9)]
    peaks = bench_peak.Peaks("m")
    assert peaks(row) == ("CPU fp32", 5e9)
    assert (peaks.doubtful, answers) == (["CPU fp32"], [])


def test_a_row_that_nobody_judged_is_known_by_its_figures() -> None:
    assert quality({"spread": 0.1}) == "good"
    assert quality({"spread": 0.3}) == "noisy"
    assert quality({"spread": 0.3, "load_limit": 0.2, "load_others": 0.3}) == "loaded"
