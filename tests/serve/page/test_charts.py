"""Charts: the drawing that needs no script, and the values that scripts are given."""

import json
import math
import re

import numpy as np
import pytest

from tests.training.report.test_report import Page
from wgan.serve.page.curves import COLOURS, Across, Line, Mark, chart
from wgan.serve.page.html import figure, scientific, share, sheet, size
from wgan.serve.page.scales import powers, short, ticks


def values(source):
    """What the scripts of a page are given of a chart."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', source)[1])


def points(source, kind="c0"):
    found = re.search(rf'<polyline class="{kind}" points="([^"]+)"', source)[1]
    return [tuple(map(float, point.split(","))) for point in found.split()]


def test_a_mark_stands_at_its_step():
    source = chart("Loss", "", [Line("", [(0, 0.0), (100, 1.0)])], marks=[Mark(50)])
    (x0, _), (x1, _) = points(source)
    mark = float(re.search(r'class="mark" x1="([\d.]+)"', source)[1])
    assert mark == pytest.approx((x0 + x1) / 2, abs=0.2)


def test_a_curve_goes_where_its_values_are():
    drawn = points(chart("Loss", "nats", [Line("", [(0, 0.0), (50, 10.0), (100, 5.0)])]))
    (x0, y0), (x1, y1), (x2, y2) = drawn
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y2 == pytest.approx((y0 - y1) / 2, abs=0.2)  # down is more in SVG
    assert y1 < y2 < y0


def test_a_curve_passes_over_what_is_not_finite():
    line = Line("", [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)])
    assert len(points(chart("Loss", "", [line]))) == 2
    assert chart("Loss", "", [Line("", [(0, math.nan)])]) == ""
    assert chart("Loss", "", []) == ""


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [-2.0] * 100, [1e-12, 2e-12], [1e30, -1e30]])
def test_few_equal_tiny_and_huge_values_make_a_chart(values):
    source = chart("Loss", "", [Line("", list(enumerate(values)))])
    Page(source)
    assert "nan" not in source
    assert "inf" not in source
    assert all(0 <= x <= 440 and 0 <= y <= 232 for x, y in points(source))


def test_noise_is_drawn_faint_behind_its_average():
    rng = np.random.default_rng(0)
    noise = [(step, float(rng.normal())) for step in range(300)]
    source = chart("Loss", "", [Line("", noise)])
    raw, smooth = (np.array(points(source, kind))[:, 1] for kind in ("raw c0", "c0"))
    assert smooth.std() < 0.5 * raw.std()
    assert smooth.mean() == pytest.approx(raw.mean(), abs=2)


def test_one_wild_value_does_not_flatten_the_curve():
    calm = [(step, math.sin(step / 20)) for step in range(399)]
    heights = np.array(points(chart("Loss", "", [Line("", [*calm, (399, 1e6)])])))[5:-20, 1]
    assert np.ptp(heights) > 100


def test_several_lines_have_a_legend_and_one_has_none():
    two = chart("Distance", "", [Line("mean", [(0, 1.0)]), Line("<64>", [(0, 2.0)])])
    assert "&lt;64&gt;" in two
    assert 'class="legend"' in two
    assert 'class="legend"' not in chart("Distance", "", [Line("mean", [(0, 1.0)])])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.013, 0.0171), (-3, 7), (0, 40_000), (1e-9, 3e-9), (-1e30, 1e30)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high, 5)
    assert 2 <= len(found) <= 5
    assert all(low - 1e-9 * high <= tick <= high * (1 + 1e-9) for tick in found)
    step = found[1] - found[0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-6), 3) in (1, 2, 5)


def test_numbers_are_written_for_people():
    assert [short(value) for value in (0.05, 12, 40_000, -1_500_000)] == ["0.05", "12", "40k", "−1.5M"]
    assert [figure(value) for value in (0, 75.31, 1493.4, -0.5, math.nan, None, "x", True)] == [
        "0", "75.3", "1,493", "−0.500", "–", "–", "–", "–"]  # fmt: skip
    assert scientific(3.14e-6).replace("\u00a0", " ") == "3.1 × 10⁻⁶"
    assert [share(0), share(0.00013)] == ["0\u00a0%", "0.013\u00a0%"]
    assert [size(512), size(4_822_011)] == ["512\u00a0B", "4.82\u00a0MB"]


def test_scripts_are_given_every_line_at_every_step():
    lines = [Line("a", [(0, 1.0), (10, 2.0)]), Line("</script><b>", [(10, 3.123456), (20, math.nan), (30, 4.0)])]
    source = chart("Loss", "", lines, reference=1.0, marks=[Mark(10, "best"), Mark(20)])
    assert source.count("</script>") == 1
    found = values(source)
    assert found["x"] == [0, 10, 30]
    assert [line["y"] for line in found["lines"]] == [[1, 2, None], [None, 3.1235, 4]]
    assert [line["name"] for line in found["lines"]] == ["a", "</script><b>"]
    assert (found["reference"], found["marks"]) == (1.0, [[10, "best"], [20, ""]])
    assert found["log"] is False


def test_a_named_mark_is_drawn_through_and_named():
    source = chart("Loss", "", [Line("", [(0, 0.0), (100, 1.0)])], marks=[Mark(50, "best"), Mark(20)])
    assert source.count('class="named"') == source.count('class="mark"') == 1
    assert ">best</text>" in source


def test_a_logarithmic_axis_gives_each_factor_the_same_height():
    line = Line("", [(1, 1.0), (2, 10.0), (4, 100.0), (8, 0.0)])
    source = chart("Latency", "ms", [line], across=Across("images", doubling=True), logarithmic=True)
    (x0, y0), (x1, y1), (x2, y2) = points(source)  # what is not positive has no place
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    found = values(source)
    assert (found["log"], found["doubling"], found["x"]) == (True, True, [1, 2, 4])
    assert all(f">{label}</text>" in source for label in ("1", "10", "100"))


@pytest.mark.parametrize("values", [[3.0], [5.0, 5.0], [1e-9, 1e12], [2.0, 2.5]])
def test_any_positive_values_make_a_logarithmic_chart(values):
    source = chart("Latency", "", [Line("", list(enumerate(values)))], logarithmic=True)
    Page(source)
    assert "nan" not in source
    assert all(0 <= x <= 440 and 0 <= y <= 232 for x, y in points(source))


@pytest.mark.parametrize(("low", "high"), [(0.9, 110), (2, 9), (1e-9, 1e9), (11, 19)])
def test_the_values_of_a_logarithmic_axis_are_few_round_and_inside(low, high):
    found = powers(low, high)
    assert len(found) <= 6
    assert all(low * 0.999 <= value <= high * 1.001 for value in found)
    assert found == sorted(found)


def test_more_lines_than_colours_begin_again_dashed():
    lines = [Line(str(i), [(0, 1.0 + i), (1, 2.0 + i)]) for i in range(COLOURS + 1)]
    found = [line["colour"] for line in values(chart("Loss", "", lines))["lines"]]
    assert len(set(found)) == len(found)
    assert found[-1] == "c0 dashed"


def test_a_table_to_save_holds_no_formula_and_every_digit():
    saved = sheet(["name", "value"], [["=1+1", 0.1234567890123], ["a,b", None], ["-x", -2.5]]).decode()
    assert saved == "name,value\n'=1+1,0.1234567890123\n\"a,b\",\n'-x,-2.5\n"
