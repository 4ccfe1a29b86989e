"""Rows a second of the latent table on one core: a table, then one JSON line."""

import json
import time

from wgan.serve.latents import latents

ROUNDS = 7
VALUES = 4_000_000  # a round: long enough to time, small enough for any machine


def rows_per_second(dim: int) -> float:
    """The best of a few rounds, as other work on the machine only ever slows one down."""
    rows = VALUES // dim
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        latents(0, rows, dim)
        best = min(best, time.perf_counter() - start)
    return rows / best


def main() -> None:
    """Print rows a second at three widths."""
    rates = {dim: round(rows_per_second(dim)) for dim in (64, 128, 512)}
    print(f"{'latent_dim':>10}  {'rows/s':>10}")
    for dim, rate in rates.items():
        print(f"{dim:>10}  {rate:>10,}")
    print(json.dumps({"benchmark": "latents", "rows_per_second": rates}))


if __name__ == "__main__":
    main()
