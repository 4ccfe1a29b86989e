"""Stability: a penalty that does not hold, and losses that swing."""

import math
from collections.abc import Sequence
from statistics import median

from wgan.training.advice.remedies import USUAL_RATE, Remedy, lower, spectral
from wgan.training.advice.rule import Rule
from wgan.training.advice.signs import Signs


class Gradient(Rule):
    """‖∇D(x̂)‖ away from 1. The penalty is the mean square of that distance, so it sees a spread as well.

    Its root was 0.14 to 0.37 in healthy runs, 0.85 to 3 and growing with λ = 0 and 0.01.
    """

    name = "gradient"

    def shows(self, signs: Signs) -> bool:
        """More than 0.6 away."""
        return signs.full and self._distance(signs) > 0.6

    def gone(self, signs: Signs) -> bool:
        """Less than 0.4."""
        return signs.full and self._distance(signs) < 0.4

    def says(self, signs: Signs) -> str:
        """Mean and distance."""
        return (
            f"the critic's gradient norm between real and generated images is {signs.middle('grad_norm'):.2f} "
            f"on average and {self._distance(signs):.2f} (rms) away from 1"
        )

    def remedy(self, signs: Signs) -> Remedy:
        """λ = 10 (Gulrajani et al. 2017); if it is there already, a calmer critic, or one that learns more."""
        config = signs.config
        if config.lambda_gp < 10:
            return {"lambda_gp": 10.0}
        if signs.middle("grad_norm") > 1:
            return {
                "lambda_gp": 2 * config.lambda_gp,
                "lr_d": lower(config.lr_d),
                "spectral_norm": spectral(config),
            }
        return {"n_critic": 2 * config.n_critic, "lr_d": max(config.lr_d, USUAL_RATE)}

    def _distance(self, signs: Signs) -> float:
        return math.sqrt(max(signs.middle("penalty"), 0.0))


class Unstable(Rule):
    """Losses that swing: how far a point lies from the middle of its neighbours, so that a trend is no swing.

    As a share of W, and of 5% of √D where W is less. Healthy: 0.15, once 0.32 for a while early on; with lr 0.1,
    0.6 to 0.9; a critic too deep for its rate, 0.8.
    """

    name = "unstable"

    def shows(self, signs: Signs) -> bool:
        """More than 0.45 of the level."""
        return signs.full and self._swing(signs) > 0.45

    def gone(self, signs: Signs) -> bool:
        """Less than 0.3."""
        return signs.full and self._swing(signs) < 0.3

    def says(self, signs: Signs) -> str:
        """How much."""
        return f"the losses swing by {100 * self._swing(signs):.0f}% of their level from one record to the next"

    def remedy(self, signs: Signs) -> Remedy:
        """Half the rates, twice the critic steps, spectral normalisation."""
        config = signs.config
        return {
            "lr_g": lower(config.lr_g),
            "lr_d": lower(config.lr_d),
            "n_critic": 2 * config.n_critic,
            "spectral_norm": spectral(config),
        }

    def _swing(self, signs: Signs) -> float:
        level = max(median(map(abs, signs.values("wasserstein"))), signs.reach)
        return max(self._bend(signs.values(name)) for name in ("critic_loss", "generator_loss")) / level

    def _bend(self, values: Sequence[float]) -> float:
        return median(abs((a + c) / 2 - b) for a, b, c in zip(values, values[1:], values[2:], strict=False))
