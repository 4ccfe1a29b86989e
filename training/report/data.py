"""Reads what a report is made of from a run folder. What is missing or unreadable is empty, no error."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import artifact
from wgan.serve.base.errors import ArtifactError
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.base.privacy import given_name, public_line, public_settings
from wgan.serve.page.html import number
from wgan.training.config import flat_yaml
from wgan.training.records import history

Values = Mapping[str, Any]


@dataclass(frozen=True)
class ReportData:
    """What a report shows of one run, read from its folder."""

    name: str
    config: Values  # config.yaml
    info: Values  # run.json
    train: Sequence[Values]  # records of metrics.jsonl, by kind
    validation: Sequence[Values]  # in the order of their steps
    inception: Sequence[Values]
    events: Sequence[Values]
    samples: Sequence[tuple[int, Path]]  # (step, grid), in the order of their steps
    real: Path | None
    timings: Mapping[str, float]  # seconds
    speeds: Sequence[Values]  # rows of sampling.json
    artifacts: Sequence[Values]

    @property
    def step(self) -> int:
        """The last step that anything is known of."""
        steps = [int(record["step"]) for record in (*self.train, *self.validation)]
        return max([*steps, *(step for step, _ in self.samples)], default=0)

    @property
    def data_changed(self) -> int | None:
        """The step at which the data changed last; None if it never has."""
        steps = [int(event["step"]) for event in self.events if "data" in event]
        return max(steps, default=None)

    @property
    def comparable(self) -> Sequence[Values]:
        """Validations against the same real images as the last one."""
        changed = self.data_changed
        if changed is None:
            return self.validation
        # the one before the change may be of the same step; with the first after it the floor was measured anew
        later = [record for record in self.validation if record["step"] >= changed]
        starts = [index for index, record in enumerate(later) if "floor_levels" in record]
        return later[starts[-1] if starts else 0 :]


def load(run: Path, artifacts: Sequence[Values] | None = None) -> ReportData:
    """Everything that lies in the folder ``run``; ``artifacts`` stand in for those of its export folder."""
    records = [record for record in _records(run / "metrics.jsonl") if number(record.get("step")) is not None]
    kinds: dict[str, list[history.Record]] = {"train": [], "validation": [], "inception": [], "event": []}
    for record in sorted(records, key=lambda record: float(record["step"])):
        kinds.get(str(record.get("kind")), []).append(record)
    settings = _yaml(run / "config.yaml")
    for event in kinds["event"]:
        if isinstance(event.get("message"), str):
            event["message"] = public_line(event["message"], run, settings)
    rows = read_json(run / "sampling.json").get("rows")
    timings = read_json(run / "timings.json").items()
    real = run / "samples" / "real.png"
    info, given = dict(read_json(run / "run.json")), given_name(settings)
    if given is not None:  # the settings may have been given the name later on
        info["data"] = given
    return ReportData(
        name=run.resolve().name,
        config=public_settings(settings),
        info=info,
        train=kinds["train"],
        validation=kinds["validation"],
        inception=kinds["inception"],
        events=kinds["event"],
        samples=_samples(run / "samples"),
        real=real if real.is_file() else None,
        timings={name: seconds for name, value in timings if (seconds := number(value)) is not None},
        speeds=[row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else [],
        artifacts=_artifacts(run / "export") if artifacts is None else artifacts,
    )


def mapping(value: Any) -> Values:
    """``value`` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def levels(record: Values, key: str) -> dict[int, float]:
    """Distances by resolution, finest first, from `swd_levels` or `floor_levels` of a validation record."""
    distances = {
        int(name): distance
        for name, value in mapping(record.get(key)).items()
        if str(name).isdecimal() and (distance := number(value)) is not None
    }
    return dict(sorted(distances.items(), reverse=True))


def _records(path: Path) -> list[history.Record]:
    try:
        return history.read(path)
    except OSError:
        return []


def _samples(folder: Path) -> list[tuple[int, Path]]:
    matches = ((re.fullmatch(r"step-(\d+)\.png", path.name), path) for path in folder.glob("step-*.png"))
    return sorted((int(match[1]), path) for match, path in matches if match)


def _artifacts(folder: Path) -> list[Values]:
    summaries: list[Values] = []
    for path in artifact.list_folder(folder):
        with suppress(ArtifactError):
            summaries.append(artifact.summary(path, artifact.read(path).metadata))
    return summaries


def read_json(path: Path) -> Values:
    """The JSON object in a file; empty where there is none."""
    try:
        return mapping(parse_json(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def _yaml(path: Path) -> Values:
    try:
        return flat_yaml.read(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
