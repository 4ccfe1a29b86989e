"""Parity as a table for a terminal."""

from collections.abc import Sequence

from wgan.export.adopt import in_words
from wgan.export.verify import Refused, Row
from wgan.serve.artifacts.origin import Origin
from wgan.serve.base.tables import table

COLUMNS = ("artifact", "on", "max", "mean", "p99.9", "PSNR", "8-bit", "parity")
_NONE = ("-",) * (len(COLUMNS) - 2)


def parity_table(artifacts: Sequence[Row], width: int | None = None) -> str:
    """One row an artifact, and a line below for each that fails, could not be run or is refused.

    Absolute errors of images in [-1, 1]; the worst image's PSNR in dB; the share of 8-bit pixels off by
    more than one level. ``width``: columns, as many as the terminal has if not given. Verdicts are painted.
    """
    rows, notes = [], []
    precise = any(not isinstance(row, Refused) and row.metadata.edited for row in artifacts)
    for artifact in artifacts:
        name = artifact.path.name
        if isinstance(artifact, Refused):
            rows.append((name, *_NONE, "refused"))
            notes.append(artifact.reason)
            continue
        report = artifact.metadata.parity or {}
        if report.get("passed") is None:
            rows.append((name, *_NONE, "not run"))
            notes.append(f"{name}: not measured: {report.get('reason', 'never tried')}")
            continue
        rows.append(
            (
                name,
                report["device"],
                f"{report['max_abs']:.1e}",
                f"{report['mean_abs']:.1e}",
                f"{report['p999_abs']:.1e}",
                f"{report['worst_psnr_db']:.0f}",
                f"{report['pixels_off']:.3%}",
                "holds" if report["passed"] else "FAILS",
            )
        )
        if not report["passed"]:
            notes.append(f"{name}: {'; '.join(artifact.failures)}")
    notes += filter(None, (in_words(row) for row in artifacts if not isinstance(row, Refused)))
    notes += origin_lines(artifacts)
    columns: tuple[str, ...] = COLUMNS
    if precise:  # what each computes in, where it may not be what it was exported in
        columns = (COLUMNS[0], "precision", *COLUMNS[1:])
        types = ["-" if isinstance(row, Refused) else row.metadata.precision for row in artifacts]
        rows = [(name, kind, *rest) for (name, *rest), kind in zip(rows, types, strict=True)]
    shown = table(columns, rows, right=COLUMNS[2:-1], verdict="parity", width=width)
    return "\n".join([shown, *notes])


def origin_lines(artifacts: Sequence[Row]) -> list[str]:
    """Which generator they were made from, in a line; where there are several, whose each is."""
    names: dict[str, list[str]] = {}
    for artifact in artifacts:
        origin = None if isinstance(artifact, Refused) else Origin.of(artifact.metadata.source)
        if origin is not None:
            names.setdefault(str(origin), []).append(artifact.path.name)
    if len(names) == 1:
        return [f"generator: {origin}" for origin in names]
    return [f"{', '.join(files)}: {origin}" for origin, files in names.items()]
