"""Samples that vary too little, or are not sharp."""

from wgan.training.advice.remedies import Remedy
from wgan.training.advice.rule import FEW, RISE, STABILITY, Rule
from wgan.training.advice.signs import Look, Signs


class Collapse(Rule):
    """Images that vary far less than the data, from a generator that has moved but gains no variety.

    Diversity rose from 0.1 past 0.7 within 300 steps of a healthy run, and was 1.0 to 1.1 from then on; a
    generator that its learning rate had wrecked stayed at 0.1 to 0.4.
    """

    name = "collapse"
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
        """Twice λ, augmentation for more varied data, larger batches, minibatch discrimination."""
        config = signs.config
        return {
            "lambda_gp": max(2 * config.lambda_gp, 10.0),
            "augment_flip": config.augment_flip or 0.5,
            "augment_enlarge": max(config.augment_enlarge, 1.125),
            "batch_size": 2 * config.batch_size,
            "minibatch": "discrimination" if config.minibatch == "none" else config.minibatch,
        }


class Blurry(Rule):
    """Edges weaker than the data's, in images that vary as they should.

    Healthy runs passed 0.75 while they still became more varied, and ended at 1.0.
    """

    name = "blurry"
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
        remedy = {"steps": 2 * config.steps, "depth": config.depth + 1, "base_channels": 2 * config.base_channels}
        if config.image_size >= 16 and not config.attention:
            remedy["attention"] = min(32, config.image_size // 2)
        return remedy


def _moved(signs: Signs, look: Look) -> bool:
    """Whether the generator's images are no longer those of its first weights."""
    first = signs.untrained
    if first is None:
        return True
    # all three: the distance of one image to many is about that of the untrained grey
    pairs = ((look.swd, first.swd), (look.diversity, first.diversity), (look.sharpness, first.sharpness))
    return any(abs(now - before) > 0.1 * before for now, before in pairs)
