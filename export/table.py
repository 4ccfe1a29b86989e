"""Parity as a table for a terminal of 80 columns."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from wgan.export.verify import Refused, Row
from wgan.serve.artifacts.origin import Origin

COLUMNS = ("artifact", "on", "max", "mean", "p99.9", "PSNR", "8-bit", "parity")


def parity_table(artifacts: Sequence[Row]) -> str:
    """One row an artifact, and a line below for each that fails, could not be run or is refused.

    Absolute errors of images in [-1, 1]; the worst image's PSNR in dB; the share of 8-bit pixels off by
    more than one level.
    """
    table = Table(box=None, pad_edge=False, header_style="")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("artifact", "on", "parity") else "right", no_wrap=True)
    notes = []
    for artifact in artifacts:
        if isinstance(artifact, Refused):
            table.add_row(artifact.path.name, "-", "-", "-", "-", "-", "-", "refused")
            notes.append(artifact.reason)
            continue
        report = artifact.metadata.parity or {}
        if report.get("passed") is None:
            table.add_row(artifact.path.name, "-", "-", "-", "-", "-", "-", "not run")
            notes.append(f"{artifact.path.name}: not measured: {report.get('reason', 'never tried')}")
            continue
        table.add_row(
            artifact.path.name,
            report["device"],
            f"{report['max_abs']:.1e}",
            f"{report['mean_abs']:.1e}",
            f"{report['p999_abs']:.1e}",
            f"{report['worst_psnr_db']:.0f}",
            f"{report['pixels_off']:.3%}",
            "holds" if report["passed"] else "FAILS",
        )
        if not report["passed"]:
            notes.append(f"{artifact.path.name}: {'; '.join(artifact.failures)}")
    notes += origin_lines(artifacts)
    text = io.StringIO()
    Console(file=text, width=100, color_system=None, markup=False, emoji=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join([*lines, *notes])


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
