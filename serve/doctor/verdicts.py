"""Whether each backend runs here, on each device: what it runs with, or what is missing and what mends it."""

from dataclasses import dataclass

from wgan.serve.artifacts.formats import BACKENDS
from wgan.serve.machine.gpu import Driver
from wgan.serve.machine.requirements import Gap


@dataclass(frozen=True)
class Verdict:
    """Whether something runs on one device: with what, or why not and what mends it.

    ``runs`` is None where it is not known: ``fix`` then tries it.
    """

    what: str
    device: str
    runs: bool | None
    why: str
    fix: str | None = None


def backends(driver: Driver | None) -> list[Verdict]:
    """A verdict for each backend on each device that it knows."""
    verdicts = []
    for row in BACKENDS.values():
        verdict = row.load(row.verdict)
        for device in row.devices:
            said = verdict(device, driver)
            if isinstance(said, str):
                verdicts.append(Verdict(row.name, device, True, said))
            else:
                runs = False if isinstance(said, Gap) else None
                verdicts.append(Verdict(row.name, device, runs, said.why, said.fix))
    return verdicts
