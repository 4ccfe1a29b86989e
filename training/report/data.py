"""Reads what a report is made of from a run folder. What is missing or unreadable is empty, no error."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.changed import as_found
from wgan.serve.artifacts.origin import BEST, LAST, Origin
from wgan.serve.base.errors import ArtifactError
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.base.privacy import given_name, public_line, public_settings
from wgan.serve.page.html import number
from wgan.serve.page.pictures import steps_in
from wgan.training.config import flat_yaml
from wgan.training.records import history
from wgan.training.records.standing import Standing, standing

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
    nearest: Sequence[Values]
    events: Sequence[Values]
    samples: Sequence[tuple[int, Path]]  # (step, grid), in the order of their steps
    interpolations: Sequence[tuple[int, Path]]
    neighbours: Sequence[tuple[int, Path]]  # generated images over the nearest real ones
    real: Path | None
    timings: Mapping[str, float]  # seconds
    speeds: Sequence[Values]  # rows of sampling.json
    artifacts: Sequence[Values]
    best: Origin | None
    last: Origin | None

    @property
    def shipped(self) -> Origin | None:
        """The generator that `wgan export` takes: what the page shows first."""
        return Standing(self.best, self.last).shipped

    @property
    def apart(self) -> bool:
        """Whether the last generator is another one."""
        return Standing(self.best, self.last).apart

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that the generator knows; empty where it knows none."""
        names = self.info.get("classes")
        conditional = self.info.get("conditional", self.config.get("conditional"))
        return [str(name) for name in names] if conditional is True and isinstance(names, list) else []

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
    kinds: dict[str, list[history.Record]] = {
        "train": [],
        "validation": [],
        "inception": [],
        "nearest": [],
        "event": [],
    }
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
    made = _artifacts(run / "export") if artifacts is None else artifacts
    best, last = _standing(run, made, kinds["validation"])
    samples = run / "samples"
    return ReportData(
        name=run.resolve().name,
        config=public_settings(settings),
        info=info,
        train=kinds["train"],
        validation=kinds["validation"],
        inception=kinds["inception"],
        nearest=kinds["nearest"],
        events=kinds["event"],
        samples=steps_in(samples, "step"),
        interpolations=steps_in(samples, "interpolation"),
        neighbours=steps_in(samples, "nearest"),
        real=real if real.is_file() else None,
        timings={name: seconds for name, value in timings if (seconds := number(value)) is not None},
        speeds=[row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else [],
        artifacts=made,
        best=best,
        last=last,
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


def _standing(
    run: Path, artifacts: Sequence[Values], validation: Sequence[Values]
) -> tuple[Origin | None, Origin | None]:
    """The best and the last generator: as the checkpoints say, or else what was exported and what was recorded."""
    last = None
    if validation:
        swd = number(validation[-1].get("swd"))
        last = Origin(int(validation[-1]["step"]), LAST, {} if swd is None else {"swd": swd})
    origins = (Origin.of(mapping(entry.get("origin"))) for entry in artifacts)
    exported = next((origin for origin in origins if origin is not None and origin.which == BEST), None)
    found = standing(run)
    return found.best or exported, found.last or last


def _artifacts(folder: Path) -> list[Values]:
    summaries: list[Values] = []
    for path in artifact.list_folder(folder):
        with suppress(ArtifactError):
            try:
                metadata = artifact.read(path).metadata
            except artifact.Changed as changed:
                unknown = {"passed": None, "reason": "changed since its export, or damaged: wgan verify measures it"}
                metadata = as_found(changed).metadata.replace(parity=unknown)
            summaries.append(artifact.summary(path, metadata))
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
