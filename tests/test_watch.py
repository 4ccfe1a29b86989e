"""What is watched of a run: sums by their names, that a saved state of other names fits too."""

import pytest
import torch
from torch import Tensor

from wgan.training.distributed import World
from wgan.training.step import watch as watching
from wgan.training.step.watch import UNNAMED, WATCHED, Watch

CPU = torch.device("cpu")


def make(*, lenient: bool = False) -> Watch:
    return Watch(CPU, lenient=lenient, world=World())


def scalar(value: float) -> Tensor:
    return torch.tensor(value)


def test_each_quantity_has_the_mean_of_its_own_values() -> None:
    watch = make()
    watch.add(wasserstein=scalar(1.0), penalty=scalar(5.0))
    watch.add(wasserstein=scalar(2.0), penalty=None)
    watch.add(generator_loss=scalar(-3.0))
    assert watch.drain() == {"wasserstein": 1.5, "penalty": 5.0, "generator_loss": -3.0}
    assert watch.drain() == {}


def test_the_order_in_which_they_are_given_is_no_matter() -> None:
    first, second = make(), make()
    first.add(penalty=scalar(5.0), wasserstein=scalar(1.0))
    second.add(wasserstein=scalar(1.0), penalty=scalar(5.0))
    assert first.drain() == second.drain() == {"wasserstein": 1.0, "penalty": 5.0}


def test_what_is_not_watched_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="wasserstain"):
        make().add(wasserstain=scalar(1.0))


@pytest.mark.parametrize("lenient", [False, True])
def test_a_value_that_is_not_finite_ends_the_run_or_is_left_out_with_its_step(lenient: bool) -> None:
    watch = make(lenient=lenient)
    watch.add(wasserstein=scalar(1.0), penalty=scalar(2.0))
    watch.add(wasserstein=scalar(9.0), penalty=scalar(float("nan")))
    assert bool(watch.finite()) is lenient
    if lenient:
        assert watch.drain() == {"wasserstein": 1.0, "penalty": 2.0}


def test_nothing_that_is_given_is_kept_with_its_graph() -> None:
    watch = make()
    value = torch.ones((), requires_grad=True)
    watch.add(wasserstein=value * 2)
    assert not watch.sums.requires_grad


def test_a_state_is_gone_on_with() -> None:
    before, after = make(), make()
    before.add(wasserstein=scalar(1.0), generator_loss=scalar(4.0))
    after.load_state_dict(before.state_dict())
    after.add(wasserstein=scalar(2.0))
    assert after.drain() == {"wasserstein": 1.5, "generator_loss": 4.0}


def test_a_state_of_more_and_of_fewer_quantities_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make()
    plain.add(penalty=scalar(3.0), generator_loss=scalar(4.0))
    state = plain.state_dict()
    monkeypatch.setattr(watching, "WATCHED", ("new", *WATCHED))
    more = make()
    more.add(new=scalar(7.0), penalty=scalar(3.0), generator_loss=scalar(4.0))
    later = make()
    later.add(new=scalar(1.0))
    later.load_state_dict(state)
    assert later.drain() == {"penalty": 3.0, "generator_loss": 4.0}
    state = more.state_dict()
    monkeypatch.undo()
    earlier = make()
    earlier.load_state_dict(state)
    assert earlier.drain() == {"penalty": 3.0, "generator_loss": 4.0}


def test_a_state_without_names_is_of_the_first_version() -> None:
    assert UNNAMED == ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss")  # of 0.1.0, for ever
    watch = make()
    watch.load_state_dict({"sums": torch.tensor([2.0, 4.0, 6.0, 8.0, 10.0]), "counts": torch.full((5,), 2.0)})
    assert watch.drain() == dict(zip(UNNAMED, (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))


def test_a_state_whose_names_and_numbers_do_not_agree_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        make().load_state_dict({"names": ["wasserstein"], "sums": torch.zeros(2), "counts": torch.zeros(2)})
