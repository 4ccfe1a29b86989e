"""Rows a second of the latent table on one core: a table, then one JSON line."""

import sys
import time

from bench_shared import Row, cell, measured, reasons, run, shown, table

from wgan.serve.latents.table import latents

ROUNDS = 7
VALUES = 4_000_000  # a round: long enough to time, small enough for any machine


def rows_per_second(dim: int) -> Row:
    """The median of a few rounds."""
    rows, spans = VALUES // dim, []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        latents(0, rows, dim)
        spans.append(time.perf_counter() - start)
    return {"latent_dim": dim, **measured(spans).per(rows).row("rows_per_second")}


def show(result: Row) -> str:
    """The table."""
    cells = [
        (row["latent_dim"], cell(row, "rows_per_second", ",.0f"), shown(row["rows_per_second_spread"], ".0%"))
        for row in result["rows"]
    ]
    lines = reasons(result["rows"], ["rows_per_second"], lambda row: f"latent_dim {row['latent_dim']}")
    return "\n".join([table(("latent_dim", "rows/s", "spread"), cells), *lines])


def main() -> int:
    """Rows a second at three widths."""
    widths = (64, 128, 512)
    return run(
        "bench_latents", lambda: {"benchmark": "latents", "rows": [rows_per_second(dim) for dim in widths]}, show
    )


if __name__ == "__main__":
    sys.exit(main())
