"""The rules: each a symptom of section 7, when it shows, when it has gone, and what the document recommends.

Thresholds come from runs on the built-in faces, healthy ones (lr 7e-4/1e-3 at 32 px, 1e-3 at 16 px) and
ones made to show each symptom; the figures stand beside them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import median

from wgan.training.advice.remedies import DOCUMENTED_RATE, Remedy, higher, lower
from wgan.training.advice.signs import Look, Signs
from wgan.training.schedule import rate_factor

STABILITY = ("gradient", "unstable")  # while one of these shows, what else is seen may be its doing
FEW = (3, 200)  # validations, and steps that they span: fewer are chance, or a generator that has just begun
MANY = (6, 300)
RISE = 0.05  # of diversity or sharpness over a few validations: more is progress


class Rule(ABC):
    """A symptom. `shows` and `gone` leave a gap between them, so that noise at a threshold repeats nothing."""

    name: str
    section: str  # of the seed document
    yields_to: tuple[str, ...] = ()  # rules before it that explain more

    @abstractmethod
    def shows(self, signs: Signs) -> bool:
        """Whether the symptom is there, for a rule that has not spoken."""

    @abstractmethod
    def gone(self, signs: Signs) -> bool:
        """Whether it has gone, for a rule that has spoken."""

    @abstractmethod
    def says(self, signs: Signs) -> str:
        """What is seen, in one clause."""

    @abstractmethod
    def remedy(self, signs: Signs) -> Remedy:
        """The settings to try."""


class Gradient(Rule):
    """‖∇D(x̂)‖ away from 1. The penalty is the mean square of that distance, so it sees a spread as well.

    Its root was 0.14 to 0.37 in healthy runs, 0.85 to 3 and growing with λ = 0 and 0.01.
    """

    name, section = "gradient", "7.1"

    def shows(self, signs: Signs) -> bool:
        """More than 0.6 away."""
        return signs.full and self._distance(signs) > 0.6

    def gone(self, signs: Signs) -> bool:
        """Less than 0.4."""
        return signs.full and self._distance(signs) < 0.4

    def says(self, signs: Signs) -> str:
        """Mean and distance."""
        return (
            f"the critic's gradient norm at x̂ is {signs.middle('grad_norm'):.2f} on average "
            f"and {self._distance(signs):.2f} (rms) away from 1"
        )

    def remedy(self, signs: Signs) -> Remedy:
        """The document's λ; if it is there already, a calmer critic, or one that learns more."""
        config = signs.config
        if config.lambda_gp < 10:
            return {"lambda_gp": 10.0}
        if signs.middle("grad_norm") > 1:
            return {"lambda_gp": 2 * config.lambda_gp, "lr_d": lower(config.lr_d), "spectral_norm": "critic"}
        return {"n_critic": 2 * config.n_critic, "lr_d": max(config.lr_d, DOCUMENTED_RATE)}

    def _distance(self, signs: Signs) -> float:
        return math.sqrt(max(signs.middle("penalty"), 0.0))


class Unstable(Rule):
    """Losses that swing: how far a point lies from the middle of its neighbours, so that a trend is no swing.

    As a share of W, and of 5% of √D where W is less. Healthy: at most 0.15; with lr 0.1: 0.6 to 0.9.
    """

    name, section = "unstable", "7.1"

    def shows(self, signs: Signs) -> bool:
        """More than 0.3 of the level."""
        return signs.full and self._swing(signs) > 0.3

    def gone(self, signs: Signs) -> bool:
        """Less than 0.2."""
        return signs.full and self._swing(signs) < 0.2

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
            "spectral_norm": "critic",
        }

    def _swing(self, signs: Signs) -> float:
        level = max(median(map(abs, signs.values("wasserstein"))), signs.reach)
        return max(self._bend(signs.values(name)) for name in ("critic_loss", "generator_loss")) / level

    def _bend(self, values: Sequence[float]) -> float:
        return median(abs((a + c) / 2 - b) for a, b, c in zip(values, values[1:], values[2:], strict=False))


class Collapse(Rule):
    """Images that vary far less than the data, from a generator that has moved but gains no variety.

    Diversity rose from 0.1 past 0.7 within 300 steps of a healthy run, and was 1.0 to 1.1 from then on; a
    generator that its learning rate had wrecked stayed at 0.1 to 0.4.
    """

    name, section = "collapse", "7.2"
    yields_to = STABILITY

    def shows(self, signs: Signs) -> bool:
        """Below half the data's, and no longer rising."""
        looks = signs.span(*FEW)
        return (
            bool(looks)
            and max(look.diversity for look in looks) < 0.5
            and looks[-1].diversity < looks[0].diversity + RISE
            and _moved(signs, looks[-1])
        )

    def gone(self, signs: Signs) -> bool:
        """Above 0.6 of the data's."""
        return bool(signs.looks) and signs.looks[-1].diversity > 0.6

    def says(self, signs: Signs) -> str:
        """How little."""
        return f"generated images vary {signs.looks[-1].diversity:.2f} times as much as the data, mode collapse"

    def remedy(self, signs: Signs) -> Remedy:
        """Twice λ, the document's augmentation for more varied data, larger batches, minibatch discrimination."""
        config = signs.config
        return {
            "lambda_gp": max(2 * config.lambda_gp, 10.0),
            "augment_flip": config.augment_flip or 0.5,
            "augment_enlarge": max(config.augment_enlarge, 1.125),
            "batch_size": 2 * config.batch_size,
            "minibatch": "discrimination",
        }


class Blurry(Rule):
    """Edges weaker than the data's, in images that vary as they should.

    Healthy runs passed 0.75 while they still became more varied, and ended at 1.0.
    """

    name, section = "blurry", "7.3"
    yields_to = (*STABILITY, "collapse")

    def shows(self, signs: Signs) -> bool:
        """Below 0.6 of the data's sharpness, and no longer rising."""
        looks = signs.span(*FEW)
        return (
            bool(looks)
            and max(look.sharpness for look in looks) < 0.6
            and looks[-1].sharpness < looks[0].sharpness + RISE
            and looks[-1].diversity >= 0.5
            and _moved(signs, looks[-1])
        )

    def gone(self, signs: Signs) -> bool:
        """Above 0.7."""
        return bool(signs.looks) and signs.looks[-1].sharpness > 0.7

    def says(self, signs: Signs) -> str:
        """How blurry."""
        return f"generated images have {signs.looks[-1].sharpness:.2f} times the data's sharpness"

    def remedy(self, signs: Signs) -> Remedy:
        """Train longer; deeper and wider networks; self-attention."""
        config = signs.config
        remedy = {"steps": 2 * config.steps, **_deeper(signs), "base_channels": 2 * config.base_channels}
        if config.image_size >= 16:
            remedy["attention"] = min(32, config.image_size // 2)
        return remedy


class Ahead(Rule):
    """A critic that tells the two apart ever better, of a generator that comes no closer.

    W rises to its highest in every run, then falls as the generator follows: to a quarter within 250 steps of a
    healthy run.
    """

    name, section = "ahead", "7.4"
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
        """A faster generator, carefully; no more critic steps than the document's."""
        config = signs.config
        return {"lr_g": higher(config.lr_g), "n_critic": min(config.n_critic, 5)}


class Slow(Rule):
    """Samples hardly better than the untrained generator's, and no progress."""

    name, section = "slow", "7.4"
    yields_to = (*STABILITY, "collapse", "ahead")

    def shows(self, signs: Signs) -> bool:
        """No progress, and not 20% better than at the start."""
        gain = _progress(signs)
        return gain is not None and gain < 0.02 and not _learned(signs)

    def gone(self, signs: Signs) -> bool:
        """Better by 5% again."""
        gain = _progress(signs)
        return gain is not None and gain > 0.05

    def says(self, signs: Signs) -> str:
        """Then and now."""
        untrained = f"it was {signs.untrained.swd:.1f} untrained, " if signs.untrained else ""
        return f"training is slow: SWD is {signs.looks[-1].swd:.1f}, {untrained}and does not fall"

    def remedy(self, signs: Signs) -> Remedy:
        """Higher rates, carefully; a critic that was trained before."""
        config = signs.config
        return {"lr_g": higher(config.lr_g), "lr_d": higher(config.lr_d), "init_critic": "FILE"}


class Plateau(Rule):
    """A distance that has fallen and falls no more, though real images are closer to each other."""

    name, section = "plateau", "7.4"
    yields_to = (*STABILITY, "collapse", "ahead", "slow")

    def shows(self, signs: Signs) -> bool:
        """No progress at rates that are not on their way to zero, and well above the floor."""
        gain, config = _progress(signs), signs.config
        rate = rate_factor(signs.step, config.steps, config.lr_schedule, config.lr_warmup)
        above = signs.floor is None or (bool(signs.looks) and signs.looks[-1].swd > 1.25 * signs.floor)
        return gain is not None and gain < 0.02 and _learned(signs) and above and rate > 0.5

    def gone(self, signs: Signs) -> bool:
        """Better by 5% again."""
        gain = _progress(signs)
        return gain is not None and gain > 0.05

    def says(self, signs: Signs) -> str:
        """Where, and since when."""
        floor = f", real images are at {signs.floor:.1f}" if signs.floor else ""
        return f"SWD has stayed at {signs.looks[-1].swd:.1f} since step {signs.span(*MANY)[0].step:,}{floor}"

    def remedy(self, signs: Signs) -> Remedy:
        """Rates that decay, larger batches."""
        config = signs.config
        decay = {"lr_schedule": "linear"} if config.lr_schedule == "constant" else {}
        return {**decay, "batch_size": 2 * config.batch_size}


# those that explain others stand before them
RULES: tuple[Rule, ...] = (Gradient(), Unstable(), Collapse(), Blurry(), Ahead(), Slow(), Plateau())


def _moved(signs: Signs, look: Look) -> bool:
    """Whether the generator's images are no longer those of its first weights."""
    first = signs.untrained
    if first is None:
        return True
    # all three: the distance of one image to many is about that of the untrained grey
    pairs = ((look.swd, first.swd), (look.diversity, first.diversity), (look.sharpness, first.sharpness))
    return any(abs(now - before) > 0.1 * before for now, before in pairs)


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
    return 1 - after / before


def _deeper(signs: Signs) -> Remedy:
    return {"depth": int(signs.config.to_dict().get("depth", 1)) + 1}
