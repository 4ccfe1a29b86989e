"""Advice on a run: symptoms of trouble that its records show, and settings to try against them."""

from collections.abc import Iterable, Mapping
from typing import Any

from wgan.training.advice.remedies import recommended
from wgan.training.advice.rule import Rule
from wgan.training.advice.rules import RULES
from wgan.training.advice.signs import Signs
from wgan.training.config import Config
from wgan.training.records.folder import RunFolder


class Adviser:
    """Follows the records of one run; each rule speaks once until its symptom has gone and come back.

    All it knows comes from the records, so a resumed run that shows it those it kept says the same at
    the same steps as one that never stopped.

    Args:
        run: the folder that its commands name.
        config: the settings that advice is worked out from.
        past: the records that a resumed run kept. What they called for has been said.
    """

    def __init__(self, run: RunFolder, config: Config, past: Iterable[Mapping[str, Any]] = ()):
        self._run, self._config, self.signs = run, config, Signs(config)
        self._shown: set[str] = set()  # rules whose symptom is there
        for record in past:
            self._appeared(record)

    def see(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The events to keep after ``record``: kind, step, rule and a message of one line; mostly none."""
        return [
            {"kind": "event", "step": record["step"], "rule": rule.name, "message": self._message(rule)}
            for rule in self._appeared(record)
        ]

    def _appeared(self, record: Mapping[str, Any]) -> list[Rule]:
        """Rules whose symptom has appeared with this record."""
        if not self.signs.add(record):
            return []
        appeared = []
        for rule in RULES:
            if rule.name in self._shown:
                if rule.gone(self.signs):
                    self._shown.remove(rule.name)
            elif not self._shown.intersection(rule.yields_to) and rule.shows(self.signs):
                self._shown.add(rule.name)
                appeared.append(rule)
        return appeared

    def _message(self, rule: Rule) -> str:
        remedy = recommended(rule.remedy(self.signs), self._config, self._run)
        return f"{rule.says(self.signs)}: {remedy}"
