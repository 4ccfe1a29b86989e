"""Endless batches: what is served, in which order, and going on from a saved position."""

import numpy as np
import pytest
import torch

from wgan.serve.base.errors import CheckpointError
from wgan.training.data import ImageSet
from wgan.training.data.stream import BatchStream, permutation

CPU = torch.device("cpu")


def numbered(count: int, *, labelled: bool = True) -> ImageSet:
    """Image i is all of value i, its label is i % 3."""
    images = np.repeat(np.arange(count, dtype=np.uint8), 8 * 8 * 3).reshape(count, 8, 8, 3)
    images.flags.writeable = False  # as a memory map is
    labels = np.arange(count, dtype=np.int64) % 3 if labelled else None
    return ImageSet(images, labels, ("a", "b", "c") if labelled else None, "numbered", "0" * 64)


def served(stream: BatchStream, batches: int) -> list[int]:
    return [value for _ in range(batches) for value in stream.next()[0][:, 0, 0, 0].tolist()]


def test_a_batch_is_uint8_images_with_their_labels() -> None:
    images, labels = BatchStream(numbered(10), 4, seed=0, device=CPU).next()
    assert images.shape == (4, 8, 8, 3)
    assert images.dtype == torch.uint8
    assert labels is not None
    assert labels.dtype == torch.int64
    assert torch.equal(labels, images[:, 0, 0, 0].long() % 3)


def test_a_set_without_labels_gives_none() -> None:
    assert BatchStream(numbered(10, labelled=False), 4, seed=0, device=CPU).next()[1] is None


def test_every_epoch_serves_every_image_once_whatever_the_batch_size() -> None:
    for batch in (1, 3, 7, 10):
        order = served(BatchStream(numbered(10), batch, seed=0, device=CPU), 30 // batch + 1)
        for epoch in range(3):
            assert sorted(order[10 * epoch : 10 * epoch + 10]) == list(range(10))


def test_a_batch_may_be_larger_than_the_set() -> None:
    images, _ = BatchStream(numbered(3), 8, seed=0, device=CPU).next()
    values = images[:, 0, 0, 0].tolist()
    assert len(values) == 8
    assert sorted(values[:3]) == sorted(values[3:6]) == [0, 1, 2]


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    by_seven, by_two = (BatchStream(numbered(10), batch, seed=5, device=CPU) for batch in (7, 2))
    assert served(by_seven, 4) == served(by_two, 14)


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = {tuple(permutation(seed, epoch, 50)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_orders_are_fixed_for_ever() -> None:
    # a resumed run must meet the order that the first one had, whatever versions are installed
    assert permutation(1, 2, 8).tolist() == [4, 2, 0, 6, 1, 5, 7, 3]


@pytest.mark.parametrize("steps", [0, 1, 3, 5, 11])
def test_a_restored_stream_goes_on_with_the_very_next_sample(steps: int) -> None:
    whole = BatchStream(numbered(10), 3, seed=2, device=CPU)
    served(whole, steps)
    again = BatchStream(numbered(10), 3, seed=2, device=CPU)
    again.restore(whole.state())
    assert again.cursor == 3 * steps
    assert served(again, 9) == served(whole, 9)


def test_a_stream_can_be_set_back() -> None:
    stream = BatchStream(numbered(10), 3, seed=2, device=CPU)
    state = stream.state()
    first = served(stream, 7)
    stream.restore(state)
    assert served(stream, 7) == first


def test_a_state_of_other_data_or_seed_is_refused() -> None:
    state = BatchStream(numbered(10), 3, seed=2, device=CPU).state()
    with pytest.raises(CheckpointError, match="count 10, this run's 11"):
        BatchStream(numbered(11), 3, seed=2, device=CPU).restore(state)
    with pytest.raises(CheckpointError, match="seed 2, this run's 3"):
        BatchStream(numbered(10), 3, seed=3, device=CPU).restore(state)


@pytest.mark.gpu
@pytest.mark.parametrize("resident", [True, False])
def test_on_cuda_the_batches_are_the_same(resident: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 2**40 if resident else 0
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    data = numbered(50)
    cuda = BatchStream(data, 7, seed=0, device=torch.device("cuda"))
    cpu = BatchStream(data, 7, seed=0, device=CPU)
    for _ in range(20):
        (images, labels), (expected, expected_labels) = cuda.next(), cpu.next()
        assert images.device.type == "cuda"
        assert torch.equal(images.cpu(), expected)
        assert labels is not None
        assert expected_labels is not None
        assert torch.equal(labels.cpu(), expected_labels)
