"""The report's table of artifacts: what was measured against PyTorch, and the verdict."""

from collections.abc import Sequence

from wgan.serve.page.html import count, figure, note, number, row, scientific, section, share, size, table, text
from wgan.training.report.data import Values, mapping

HEADS = (
    "file", "format", "precision", "verdict", "device", "images", "max error", "mean error", "99.9 %",
    "worst PSNR", "pixels off",
)  # fmt: skip
WORDS = 5
_MEASURES = len(HEADS) - 4  # columns of what was measured


def artifacts(entries: Sequence[Values]) -> str:
    """One row an artifact (file, format, precision, bytes, parity)."""
    if not entries:
        return ""
    references = {str(mapping(entry.get("parity")).get("reference", "")) for entry in entries} - {""}
    against = f" ({text(', '.join(sorted(references)))})" if references else ""
    explain = (
        f"Each file was run beside the trained generator in PyTorch{against} on the same latents. Errors are "
        "absolute, of images in [−1, 1]; pixels off is the share of 8-bit values that differ by more than "
        "one level."
    )
    return section("Artifacts and parity", note(explain), table(HEADS, map(_row, entries), words=WORDS))


def _row(entry: Values) -> str:
    parity = mapping(entry.get("parity"))
    name = f"<b>{text(entry.get('file', '–'))}</b> <small>{size(entry.get('bytes'))}</small>"
    words = [name, text(entry.get("format", "–")), text(entry.get("precision", "–"))]
    passed = parity.get("passed")
    if passed is None:
        reason = text(parity.get("reason") or "no report in the file")
        cells = "".join(f"<td>{word}</td>" for word in [*words, '<span class="open">not measured</span>'])
        return f'<tr>{cells}<td class="reason" colspan="{_MEASURES}">{reason}</td></tr>\n'
    verdict = '<span class="good">equal</span>' if passed else '<span class="bad">differs</span>'
    if parity.get("finite") is False:
        verdict += " <small>NaN or Inf</small>"
    gates = mapping(parity.get("gates"))
    return row(
        [*words, verdict, text(parity.get("device", "–"))],
        [
            count(parity.get("images")),
            scientific(parity.get("max_abs")) + _gate("≤", gates.get("max_abs")),
            scientific(parity.get("mean_abs")) + _gate("≤", gates.get("mean_abs")),
            scientific(parity.get("p999_abs")),
            f"{figure(parity.get('worst_psnr_db'))} dB" + _gate("≥", gates.get("worst_psnr_db")),
            share(parity.get("pixels_off")),
        ],
    )


def _gate(sign: str, value: object) -> str:
    return "" if number(value) is None else f"<small>gate {sign} {number(value):g}</small>"
