"""A trainer's state: taken out for a checkpoint, and put back."""

from textwrap import shorten
from typing import TYPE_CHECKING, Any

from wgan.serve.base.errors import CheckpointError
from wgan.training.networks import Stage
from wgan.training.records.checkpoint import check_fits
from wgan.training.step.fast import lay_out_moments

if TYPE_CHECKING:
    from wgan.training.step.trainer import Trainer


def saved(trainer: "Trainer") -> dict[str, Any]:
    """Everything that `take_up` needs for the next step to be the same to the bit."""
    return {
        "step": trainer.step,
        "images": trainer.images,
        "stage": vars(trainer.stage),
        "generator": trainer.generator.state_dict(),
        "critic": trainer.critic.state_dict(),
        "ema": trainer.deployable().state_dict(),
        "optimizer_g": trainer.optimizer_g.state_dict(),
        "optimizer_d": trainer.optimizer_d.state_dict(),
        "random": trainer.random.get_state(),
        "watch": trainer.watch.state_dict(),
        "precision_g": trainer.precision_g.state_dict(),
        "precision_d": trainer.precision_d.state_dict(),
    }


def take_up(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Goes on from ``state``, of this version or an earlier one.

    Networks, moments and random streams have to be there: without them it is another run.

    Raises:
        CheckpointError: it belongs to other networks or another kind of device.
    """
    try:
        check_fits("generator", trainer.generator, state["generator"])
        check_fits("critic", trainer.critic, state["critic"])
        trainer.generator.load_state_dict(state["generator"])
        trainer.critic.load_state_dict(state["critic"])
        trainer.ema.module.load_state_dict(state["ema"])
        trainer.optimizer_g.load_state_dict(state["optimizer_g"])
        trainer.optimizer_d.load_state_dict(state["optimizer_d"])
        lay_out_moments(trainer.optimizer_g)
        lay_out_moments(trainer.optimizer_d)
        trainer.random.set_state(state["random"])
        if "watch" in state:
            trainer.watch.load_state_dict(state["watch"])
        trainer.precision_g.load_state_dict(state.get("precision_g", {}))
        trainer.precision_d.load_state_dict(state.get("precision_d", {}))
        trainer.forget_recorded()
        trainer.step = int(state["step"])
        trainer.images = int(state.get("images", trainer.step * trainer.config.reals_per_step))
        trainer.enter(Stage(**state["stage"]))
    except (KeyError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        reason = shorten(str(error), 200, placeholder=" …")
        raise CheckpointError(f"the checkpoint does not fit this configuration or device: {reason}") from None
