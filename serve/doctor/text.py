"""A diagnosis as text for a terminal."""

import textwrap
from collections.abc import Iterable

from wgan.serve.base.fold import terminal_width
from wgan.serve.base.tables import table
from wgan.serve.base.terminal import counted
from wgan.serve.doctor.diagnosis import Diagnosis
from wgan.serve.machine.requirements import Gap

RUNS = {True: "yes", False: "no", None: "try"}


def as_text(diagnosis: Diagnosis) -> str:
    """The machine, the backends, the packages, and what is to be mended."""
    rows = [(row.what, row.device, RUNS[row.runs], row.why) for row in diagnosis.backends]
    parts = [_machine(diagnosis), table(("backend", "on", "runs", ""), rows, verdict="runs", free="")]
    listed = [(entry.name, entry.installed or "-", entry.wanted, entry.extra or "base") for entry in diagnosis.packages]
    if listed:
        parts.append(table(("package", "installed", "tested with", "extra"), listed, free="tested with"))
    parts += gaps_text("wrong:", diagnosis.troubles)
    said = {gap.fix for gap in diagnosis.troubles}
    for runs, title in ((False, "for what does not run:"), (None, "nobody knows yet, so try it:")):
        missing: dict[str, list[str]] = {}
        for row in diagnosis.backends:
            if row.runs is runs and row.fix not in said:
                missing.setdefault(str(row.fix), []).append(f"{row.what} on {row.device}")
        if missing:
            parts.append("\n".join([title, *(_gap(", ".join(names), fix) for fix, names in missing.items())]))
    return "\n\n".join(parts)


def _machine(diagnosis: Diagnosis) -> str:
    cpu, disk, driver = diagnosis.cpu, diagnosis.disk, diagnosis.driver
    lines = [
        ("wgan", f"{diagnosis.wgan or '(not installed)'}, Python {diagnosis.python}, {diagnosis.platform}"),
        ("CPU", f"{cpu.name}, {counted(cpu.threads, 'thread')}"),
        ("disk", f"{disk.folder}/: {disk.free / 1e9:,.0f} GB free{'' if disk.writable else ', not writable'}"),
    ]
    if driver is None:
        lines.append(("driver", "none"))
    else:
        newest = f", runs CUDA up to {driver.cuda[0]}.{driver.cuda[1]}" if driver.cuda else ""
        problem = f", does not start: {driver.problem}" if driver.problem else ""
        lines.append(("driver", f"NVIDIA {driver.release or '(version unknown)'}{newest}{problem}"))
        for gpu in driver.gpus:
            major, minor = gpu.capability
            lines.append(("GPU", f"{gpu.name}, compute capability {major}.{minor}, {gpu.memory / 2**30:.0f} GiB"))
    speeds = diagnosis.products
    if isinstance(speeds, str):
        lines.append(("speed", f"not measured: {speeds}"))
    for row in speeds if isinstance(speeds, list) else []:
        where = f"{row.device.upper()}: " if len(speeds or []) > 1 else ""
        lines.append(("speed", where + row.products()))
    wrapped = [textwrap.fill(f"{name:<8}{text}", terminal_width(), subsequent_indent=" " * 8) for name, text in lines]
    return "\n".join(wrapped)


def gaps_text(title: str, gaps: Iterable[Gap]) -> list[str]:
    """A title and below it what is wrong, each with what mends it; nothing where nothing is."""
    lines = [_gap(gap.why, gap.fix) for gap in gaps]
    return ["\n".join([title, *lines])] if lines else []


def _gap(why: str, fix: str) -> str:
    # a command stays on one line, however long, so that it can be copied
    return f"{textwrap.fill(why, terminal_width(), initial_indent='  ', subsequent_indent='  ')}\n      {fix}"
