"""Every row of the README's table of settings does what it says: shown here, or by the test that is named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests import ROOT
from wgan.serve.base.errors import DatasetError
from wgan.training.config import FIELDS, Config
from wgan.training.data.of_run import open_data
from wgan.training.step.growth import stage_at
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
TINY = Config(
    image_size=16, base_channels=2, latent_dim=4, batch_size=4, n_critic=1, faces_count=64, validate_images=16
)

# What a setting decides, read where it takes effect: an observation of a trainer (with two classes where there are
# labels), the setting's value beside which TINY's is seen, other settings that it needs, and both observations.
Seen = tuple[Callable[[Trainer], Any], Any, dict[str, Any], Any, Any]


def first_weight(network: str) -> Callable[[Trainer], Any]:
    return lambda trainer: tuple(next(getattr(trainer, network).heads.parameters()).shape)


def rates(trainer: Trainer) -> tuple[float, float]:
    trainer.set_rates()
    return trainer.optimizer_g.param_groups[0]["lr"], trainer.optimizer_d.param_groups[0]["lr"]


def betas(trainer: Trainer) -> tuple[float, ...]:
    trainer.set_rates()
    return (*trainer.optimizer_g.param_groups[0]["betas"], *trainer.optimizer_d.param_groups[0]["betas"])


def share_of_the_new_weights(trainer: Trainer) -> float:
    """How far the average has gone towards the weights after update 10,000."""
    weight, average = next(trainer.generator.parameters()), next(trainer.ema.module.parameters())
    with torch.no_grad():
        average.zero_()
        weight.fill_(1.0)
    trainer.step = 9_999
    trainer.replay = lambda *step: None  # type: ignore[assignment] - no step moves the weights
    trainer.iterate(Still())  # type: ignore[arg-type]
    return round(float(average.flatten()[0]), 6)


class Still:
    """Real images that are always the same."""

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(4, 16, 16, 3, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])


def critic_loss_at_zero_gradient(trainer: Trainer) -> float:
    """With a critic that is flat everywhere the penalty is 1, so the loss is its weight."""
    with torch.no_grad():
        for parameter in trainer.critic.parameters():
            parameter.zero_()
    real = torch.zeros(4, 3, 16, 16)
    return float(trainer.critic_loss(real, real, torch.full((4,), 0.5), None, torch.ones(())).loss.detach())


def labelled(trainer: Trainer) -> tuple[int, ...]:
    assert trainer.generator.embedding is not None
    return tuple(trainer.generator.embedding.weight.shape)


def weights(trainer: Trainer) -> float:
    return round(float(next(trainer.generator.parameters()).detach().flatten()[0]), 4)


def noise(trainer: Trainer) -> float:
    return round(float(trainer.noise()[0, 0]), 4)


IN_THE_TRAINER: dict[str, list[Seen]] = {
    "image_size": [(lambda t: tuple(t.fake(t.noise()).shape[2:]), 32, {}, (16, 16), (32, 32))],
    "channels": [
        (lambda t: t.fake(t.noise()).shape[1], 1, {}, 3, 1),
        (first_weight("critic"), 1, {}, (2, 3, 4, 4), (2, 1, 4, 4)),
    ],
    "latent_dim": [(lambda t: tuple(t.noise().shape), 7, {}, (4, 4), (4, 7))],
    "base_channels": [
        (first_weight("critic"), 5, {}, (2, 3, 4, 4), (5, 3, 4, 4)),
        (first_weight("generator"), 5, {}, (2, 3, 4, 4), (5, 3, 4, 4)),
    ],
    "batch_size": [(lambda t: len(t.noise()), 8, {}, 4, 8)],
    "minibatch_group": [
        (lambda t: t.critic.deviation[0].group, 2, {"minibatch": "stddev"}, 4, 2),  # type: ignore[index]
        (lambda t: t.critic.discrimination.group, 2, {"minibatch": "discrimination"}, 4, 2),
    ],
    "generator_labels": [
        (lambda t: t.generator.embedding is None, "batchnorm", {"conditional": True}, False, True),
        (lambda t: hasattr(t.generator.project.norm, "scale"), "batchnorm", {"conditional": True}, False, True),
    ],
    "critic_labels": [
        (lambda t: (t.critic.projection is None, t.critic.map is None), "map", {"conditional": True},
         (False, True), (True, False)),
    ],
    "critic_head": [(lambda t: tuple(t.critic.score.weight.shape), "flatten", {}, (1, 4), (1, 64))],
    "upsampling": [(first_weight("generator"), "smooth", {}, (2, 3, 4, 4), (2, 3, 3, 3))],
    "label_dim": [(labelled, 5, {"conditional": True}, (2, 32), (2, 5))],
    "progressive": [(lambda t: (t.stage.resolution, len(t.critic.heads)), True, {}, (16, 1), (8, 2))],
    "phase_images": [
        # half of the fading in, after as many images at the resolution before
        (lambda t: (s := stage_at(150, t.config), s.resolution, s.alpha)[1:], 100, {"progressive": True},
         (8, 1.0), (16, 0.5)),
    ],
    "lambda_gp": [(critic_loss_at_zero_gradient, 3.0, {}, 10.0, 3.0)],
    "lr_g": [(rates, 0.5, {}, (1e-4, 1e-4), (0.5, 1e-4))],
    "lr_d": [(rates, 0.5, {}, (1e-4, 1e-4), (1e-4, 0.5))],
    "beta1": [(betas, 0.5, {}, (0.0, 0.9) * 2, (0.5, 0.9) * 2)],
    "beta2": [(betas, 0.5, {}, (0.0, 0.9) * 2, (0.0, 0.5) * 2)],
    "ema_decay": [(share_of_the_new_weights, 0.9, {}, 0.001, 0.1)],
    "augment_enlarge": [(lambda t: t.augmentation.enlarge, 1.125, {}, 1.0, 1.125)],
    "augment_flip": [(lambda t: t.augmentation.flip, 0.5, {}, 0.0, 0.5)],
    "augment_brightness": [(lambda t: t.augmentation.brightness, 0.2, {}, 0.0, 0.2)],
    "augment_contrast": [(lambda t: t.augmentation.contrast, 0.2, {}, 0.0, 0.2)],
    "seed": [
        (weights, 1, {}, None, None),  # None: other than the other
        (noise, 1, {}, None, None),
    ],
}  # fmt: skip

# by the files of a run, or by what they compute: module, test
ELSEWHERE = {
    "data": ("test_training", "test_a_dataset_that_vanishes_stops_no_run_and_loses_none"),
    "data_name": ("test_privacy", "test_the_data_may_be_given_a_name"),
    "data_changed": ("test_changed_data", "test_a_run_goes_on_with_images_that_were_added"),
    "depth": ("test_options", "test_depth_and_attention_are_where_they_were_asked_for"),
    "attention": ("test_options", "test_depth_and_attention_are_where_they_were_asked_for"),
    "spectral_norm": ("test_options", "test_spectral_norms_bring_every_weight_to_norm_one_and_move_once_a_step"),
    "minibatch": ("test_options", "test_a_batch_in_parts_gives_the_critic_the_gradients_of_the_whole"),
    "conditional": ("test_options", "test_the_label_reaches_both_networks_and_the_penalty_is_of_the_image_alone"),
    "init_generator": ("test_options", "test_a_run_can_start_from_anothers_critic_and_generator"),
    "init_critic": ("test_options", "test_a_run_can_start_from_anothers_critic_and_generator"),
    "steps": ("test_training", "test_the_records_are_what_was_asked_for"),
    "minutes": ("test_minutes", "test_a_run_keeps_its_steps_and_is_found_again"),
    "n_critic": ("test_training", "test_each_critic_step_has_a_fresh_real_batch"),
    "penalty_every": ("test_options", "test_a_lazy_penalty_comes_every_few_steps_and_weighs_as_much"),
    "drift": ("test_options", "test_drift_pulls_real_scores_to_zero"),
    "lr_schedule": ("test_schedule", "test_the_optimizers_follow_the_schedule"),
    "lr_warmup": ("test_schedule", "test_warm_up_rises_to_the_whole_rate_and_never_starts_at_zero"),
    "precision": ("test_precision", "test_a_resumed_run_is_the_same_to_the_bit"),
    "accumulate": ("test_options", "test_a_batch_in_parts_gives_the_critic_the_gradients_of_the_whole"),
    "compile": ("test_fast", "test_what_is_on_by_itself"),
    "cuda_graphs": ("test_fast", "test_what_is_on_by_itself"),
    "tf32": ("test_fast", "test_float32_is_exact_and_convolutions_are_fastest_unless_asked_otherwise"),
    "convolutions": ("test_fast", "test_float32_is_exact_and_convolutions_are_fastest_unless_asked_otherwise"),
    "activation_checkpointing": ("test_options", "test_recomputed_activations_are_not_kept"),
    "log_every": ("test_training", "test_the_records_are_what_was_asked_for"),
    "sample_every": ("test_training", "test_a_run_folder_holds_all_that_belongs_to_it"),
    "validate_every": ("test_training", "test_the_records_are_what_was_asked_for"),
    "inception_every": ("test_fidelity", "test_a_run_measures_every_so_often_and_at_the_end_and_keeps_the_best"),
    "inception_images": ("test_fidelity", "test_a_run_measures_every_so_often_and_at_the_end_and_keeps_the_best"),
    "inception_weights": ("test_fidelity", "test_a_run_from_the_command_line_uses_the_file"),
    "checkpoint_every": ("test_training", "test_a_run_folder_holds_all_that_belongs_to_it"),
    "keep_checkpoints": ("test_faults", "test_a_damaged_file_of_a_later_step_never_takes_the_place_of_a_good_one"),
}
OF_THE_DATA = {"fit", "background", "faces_count", "max_broken", "validate_images"}


def test_no_setting_is_left_out() -> None:
    assert sorted([*IN_THE_TRAINER, *ELSEWHERE, *OF_THE_DATA]) == sorted(FIELDS)


@pytest.mark.parametrize("name", IN_THE_TRAINER)
def test_a_setting_takes_effect_where_it_belongs(name: str) -> None:
    for observe, value, needs, before, after in IN_THE_TRAINER[name]:
        config = TINY.replace(**needs)
        shares = (0.5, 0.5) if config.conditional else ()
        found = [observe(Trainer(each, CPU, shares)) for each in (config, config.replace(**{name: value}))]
        if before is None:
            assert found[0] != found[1]
        else:
            assert found == [pytest.approx(each) for each in (before, after)]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_test_that_is_named_is_there(name: str) -> None:
    module, test = ELSEWHERE[name]
    (path,) = (ROOT / "tests").rglob(f"{module}.py")
    assert re.search(rf"^def {test}\(", path.read_text("utf-8"), re.MULTILINE)


def test_the_data_is_what_the_settings_say(tmp_path: Path) -> None:
    photos, cache = tmp_path / "photos", tmp_path / "cache"
    photos.mkdir()
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :8] = 255  # cropping to the middle loses it
    for number in range(8):
        Image.fromarray(pixels).save(photos / f"{number}.png")
    config = TINY.replace(data=str(photos))
    cropped, reference = open_data(config, cache)
    squashed, _ = open_data(config.replace(fit="squash"), cache)
    assert cropped.images.max() == 0
    assert squashed.images.max() == 255
    assert len(reference.images) == 8  # all there are

    (photos / "9.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match="raise max_broken"):
        open_data(config, cache)
    assert len(open_data(config.replace(max_broken=0.2), cache)[0].images) == 8

    Image.fromarray(np.zeros((32, 64, 4), np.uint8)).save(photos / "0.png")
    for colour, first in (("white", [255, 255, 255]), ("#0a0b0c", [10, 11, 12])):
        laid, _ = open_data(config.replace(background=colour, max_broken=0.2), cache)
        assert laid.images[0, 0, 0].tolist() == first
    kept, _ = open_data(config.replace(channels=4, max_broken=0.2), cache)
    assert kept.images[:2, 0, 0, 3].tolist() == [0, 255]

    faces, unseen = open_data(TINY, cache)
    assert (len(faces.images), len(unseen.images), faces.images.shape[3]) == (64, 16, 3)
    faces, unseen = open_data(TINY.replace(faces_count=65, validate_images=17, channels=1), cache)
    assert (len(faces.images), len(unseen.images), faces.images.shape[3]) == (65, 17, 1)
