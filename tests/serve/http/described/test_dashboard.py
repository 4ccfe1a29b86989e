"""The Grafana dashboard asks for what the server exports."""

import json
import re
from typing import Any

import pytest

from tests import ROOT
from tests.fakes.generator import FakeGenerator
from wgan.serve.http.queue.metrics import Metrics

BOARD = json.loads((ROOT / "deploy" / "grafana" / "wgan.json").read_text("utf-8"))
FROM_PROMETHEUS = {"job", "instance", "le"}


def exported() -> dict[str, set[str]]:
    """The name of each sample, and its labels."""

    class Model:
        name, backend = "faces", FakeGenerator()

    metrics = Metrics()
    metrics.request("/ok", 200, 0.1)
    metrics.batch(1, [0.1], 0.1, 0.1)
    metrics.refused("queue_full")
    metrics.model(Model())  # type: ignore[arg-type]
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def questions() -> list[tuple[str, str]]:
    """The title of each panel and what it asks, and what the variables ask."""
    asked = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel["targets"]]
    variables: list[dict[str, Any]] = BOARD["templating"]["list"]
    return asked + [(each["name"], each["definition"]) for each in variables if each["type"] == "query"]


@pytest.mark.parametrize(("title", "expression"), questions())
def test_each_panel_asks_for_what_there_is(title: str, expression: str) -> None:
    samples = exported()
    names = set(re.findall(r"\b(?:wgan|process)_\w+", expression))
    assert names
    assert names <= set(samples)
    labels = set(re.findall(r"(\w+)=~?\"", expression))
    for group in re.findall(r"by \(([^)]*)\)", expression):
        labels |= {label.strip() for label in group.split(",")}
    known = set().union(*(samples[name] for name in names)) | FROM_PROMETHEUS
    assert labels <= known
    assert expression.count("(") == expression.count(")")


def test_every_metric_of_ours_is_on_the_board() -> None:
    asked = " ".join(expression for _, expression in questions())
    ours = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in exported() if name.startswith("wgan_")}
    assert [name for name in sorted(ours) if name not in asked] == []


def test_panels_do_not_overlap_and_are_numbered() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(places)
