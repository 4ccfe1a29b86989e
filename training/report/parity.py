"""The report's table of artifacts: what was measured against PyTorch, and the verdict."""

from collections.abc import Sequence

from wgan.serve.artifacts.origin import Origin
from wgan.serve.page.html import (
    count,
    download,
    figure,
    note,
    number,
    row,
    scientific,
    section,
    share,
    sheet,
    size,
    table,
    text,
)
from wgan.training.report.data import Values, mapping

HEADS = (
    "file", "format", "precision", "verdict", "device", "images", "max error", "mean error", "99.9 %",
    "worst PSNR", "pixels off",
)  # fmt: skip
TITLE = "Artifacts and parity"
WORDS = 5
FIGURES = ("images", "max_abs", "mean_abs", "p999_abs", "worst_psnr_db", "pixels_off")
_MEASURES = len(HEADS) - 4  # columns of what was measured


def artifacts(entries: Sequence[Values], *, shipped: Origin | None = None, name: str = "", title: str = TITLE) -> str:
    """One row an artifact (file, format, precision, bytes, parity).

    Args:
        entries: as `artifact.summary` describes them.
        shipped: the generator that the page shows: artifacts of another are told from it.
        name: of the run; with it the table can be saved.
        title: of the section.
    """
    if not entries:
        return ""
    references = {str(mapping(entry.get("parity")).get("reference", "")) for entry in entries} - {""}
    against = f" ({text(', '.join(sorted(references)))})" if references else ""
    explain = (
        f"Each file was run beside the trained generator in PyTorch{against} on the same latents. Errors are "
        "absolute, of images in [−1, 1]; pixels off is the share of 8-bit values that differ by more than "
        "one level. "
    )
    save = download(f"{name}-parity.csv", "text/csv", table_of(entries), "Parity as CSV") if name else ""
    rows = (_row(entry, shipped) for entry in entries)
    return section(title, note(explain + save), table(HEADS, rows, words=WORDS))


def table_of(entries: Sequence[Values]) -> bytes:
    """Every artifact's figures, as CSV."""
    heads = ("file", "format", "precision", "step", "verdict", "device", *FIGURES)
    rows = []
    for entry in entries:
        parity, origin = mapping(entry.get("parity")), Origin.of(mapping(entry.get("origin")))
        words = [entry.get(key) for key in heads[:3]]
        figures = [number(parity.get(key)) for key in FIGURES]
        step = None if origin is None else origin.step
        rows.append([*words, step, verdict(parity.get("passed")), parity.get("device"), *figures])
    return sheet(heads, rows)


def verdict(passed: object) -> str:
    """In two words at most."""
    return "not measured" if passed is None else "equal" if passed else "differs"


def _row(entry: Values, shipped: Origin | None) -> str:
    parity = mapping(entry.get("parity"))
    name = f"<b>{text(entry.get('file', '–'))}</b> <small>{size(entry.get('bytes'))}</small>{_of(entry, shipped)}"
    name += _edited(entry)
    words = [name, text(entry.get("format", "–")), text(entry.get("precision", "–"))]
    passed = parity.get("passed")
    if passed is None:
        reason = text(parity.get("reason") or "no report in the file")
        cells = "".join(f"<td>{word}</td>" for word in [*words, '<span class="open">not measured</span>'])
        return f'<tr>{cells}<td class="reason" colspan="{_MEASURES}">{reason}</td></tr>\n'
    shown = f'<span class="{"good" if passed else "bad"}">{verdict(passed)}</span>'
    if parity.get("finite") is False:
        shown += " <small>NaN or Inf</small>"
    gates = mapping(parity.get("gates"))
    return row(
        [*words, shown, text(parity.get("device", "–"))],
        [
            count(parity.get("images")),
            scientific(parity.get("max_abs")) + _gate("≤", gates.get("max_abs")),
            scientific(parity.get("mean_abs")) + _gate("≤", gates.get("mean_abs")),
            scientific(parity.get("p999_abs")),
            f"{figure(parity.get('worst_psnr_db'))} dB" + _gate("≥", gates.get("worst_psnr_db")),
            share(parity.get("pixels_off")),
        ],
    )


def _of(entry: Values, shipped: Origin | None) -> str:
    """Which generator it is, and what to do where that is another than the one shown above."""
    origin = Origin.of(mapping(entry.get("origin")))
    if origin is None:
        return ""
    old = shipped is not None and origin.step != shipped.step
    return f"<small>{text(origin)}{'; export again for what is shown above' if old else ''}</small>"


def _edited(entry: Values) -> str:
    """That a tool changed it after its export, and what it computed in before."""
    mark = mapping(entry.get("edited"))
    if not mark:
        return ""
    by = f" by {text(mark['by'])}" if mark.get("by") else ""
    return f"<small>edited after its export{by}; was {text(mark.get('exported_precision', '–'))}</small>"


def _gate(sign: str, value: object) -> str:
    return "" if number(value) is None else f"<small>gate {sign} {number(value):g}</small>"
