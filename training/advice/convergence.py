"""Convergence: a generator that comes no closer, with or without a critic that runs away."""

from wgan.training.advice.remedies import ITSELF, Remedy, higher
from wgan.training.advice.rule import FEW, MANY, RISE, STABILITY, Rule
from wgan.training.advice.signs import Signs
from wgan.training.config.schedule import rate_factor


class Ahead(Rule):
    """A critic that tells the two apart ever better, of a generator that comes no closer.

    W rises to its highest in every run, then falls as the generator follows: to a quarter within 250 steps of a
    healthy run.
    """

    name = "ahead"
    yields_to = STABILITY

    def shows(self, signs: Signs) -> bool:
        """W at its highest over validations that show no progress at all."""
        looks = signs.span(*FEW)
        return (
            signs.full
            and bool(looks)
            and signs.level > max(0.9 * signs.peak, signs.reach)
            and looks[-1].swd > 0.95 * looks[0].swd
            and looks[-1].diversity < looks[0].diversity + RISE
        )

    def gone(self, signs: Signs) -> bool:
        """W has fallen by a fifth."""
        return signs.full and signs.level < 0.8 * signs.peak

    def says(self, signs: Signs) -> str:
        """W against its highest."""
        return (
            f"the critic is far ahead: W is {signs.level:.3g}, its highest so far {signs.peak:.3g}, "
            "and the samples come no closer"
        )

    def remedy(self, signs: Signs) -> Remedy:
        """A faster generator, carefully; no more critic steps than five (Gulrajani et al. 2017)."""
        config = signs.config
        return {"lr_g": higher(config.lr_g), "n_critic": min(config.n_critic, 5)}


class Still(Rule):
    """A distance that does not fall."""

    def gone(self, signs: Signs) -> bool:
        """Better by 5% again."""
        gain = _progress(signs)
        return gain is not None and gain > 0.05


class Slow(Still):
    """Samples hardly better than the untrained generator's, and no progress."""

    name = "slow"
    yields_to = (*STABILITY, "collapse", "ahead")

    def shows(self, signs: Signs) -> bool:
        """No progress, and not 20% better than at the start."""
        gain = _progress(signs)
        return gain is not None and gain < 0.02 and not _learned(signs)

    def says(self, signs: Signs) -> str:
        """Then and now."""
        untrained = f"it was {signs.untrained.swd:.1f} untrained, " if signs.untrained else ""
        return f"training is slow: SWD is {signs.looks[-1].swd:.1f}, {untrained}and does not fall"

    def remedy(self, signs: Signs) -> Remedy:
        """Higher rates, carefully; a new generator with the critic that this run has trained."""
        config = signs.config
        return {"lr_g": higher(config.lr_g), "lr_d": higher(config.lr_d), "init_critic": ITSELF}


class Plateau(Still):
    """A distance that has fallen and falls no more, though real images are closer to each other."""

    name = "plateau"
    yields_to = (*STABILITY, "collapse", "ahead", "slow")

    def shows(self, signs: Signs) -> bool:
        """No progress at rates that are not on their way to zero, and well above the floor."""
        gain, config = _progress(signs), signs.config
        rate = rate_factor(signs.step, config.steps, config.lr_schedule, config.lr_warmup)
        above = signs.floor is None or (bool(signs.looks) and signs.looks[-1].swd > 1.25 * signs.floor)
        return gain is not None and gain < 0.02 and _learned(signs) and above and rate > 0.5

    def says(self, signs: Signs) -> str:
        """Where, and since when."""
        floor = f", real images are at {signs.floor:.1f}" if signs.floor else ""
        return f"SWD has stayed at {signs.looks[-1].swd:.1f} since step {signs.span(*MANY)[0].step:,}{floor}"

    def remedy(self, signs: Signs) -> Remedy:
        """Rates that decay, larger batches."""
        config = signs.config
        decay = {"lr_schedule": "linear"} if config.lr_schedule == "constant" else {}
        return {**decay, "batch_size": 2 * config.batch_size}


def _learned(signs: Signs) -> bool:
    """Whether it was ever a fifth closer to the data than untrained."""
    return signs.untrained is None or min(look.swd for look in signs.looks) < 0.8 * signs.untrained.swd


def _progress(signs: Signs) -> float | None:
    """By what share the best distance of the later half of the validations is below that of the earlier half."""
    looks = signs.span(*MANY)
    if not looks:
        return None
    half = len(looks) // 2
    before, after = (min(look.swd for look in part) for part in (looks[:half], looks[half:]))
    return 1 - after / before if before else 0.0
