"""Normalisation and augmentation, against torchvision one image at a time."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as V

from wgan.training.data.augment import OFF, Augmentation, Draws, augment, draw, enlarged, normalise, prepare


def floats(count: int = 6, channels: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def pixels(count: int = 6, channels: int = 3, size: int = 32) -> torch.Tensor:
    return (floats(count, channels, size) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def draws_for(augmentation: Augmentation, count: int, size: int = 32, seed: int = 0) -> Draws:
    return draw(augmentation, count, size, torch.Generator().manual_seed(seed))


def torchvision_one(image: torch.Tensor, draws: Draws, i: int, size: int, larger: int) -> torch.Tensor:
    image = V.resize(image, [larger, larger], interpolation=InterpolationMode.BILINEAR, antialias=True)
    image = V.crop(image, int(draws.top[i]), int(draws.left[i]), size, size)
    image = V.horizontal_flip(image) if draws.flip[i] else image

    def brightness(x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(V.adjust_brightness(x, float(draws.brightness[i])))

    def contrast(x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(V.adjust_contrast(x, float(draws.contrast[i])))

    return brightness(contrast(image)) if draws.contrast_first[i] else contrast(brightness(image))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_every_sample_is_what_torchvision_makes_of_it(channels: int, size: int) -> None:
    strong = Augmentation(enlarge=1.125, flip=0.5, brightness=0.6, contrast=0.6)
    images, draws = floats(16, channels, size), draws_for(strong, 16, size)
    assert draws.contrast_first.any()
    assert not draws.contrast_first.all()
    changed = augment(images, draws, enlarged(size, strong))
    expected = [torchvision_one(x, draws, i, size, size * 9 // 8) for i, x in enumerate(images)]
    torch.testing.assert_close(changed, torch.stack(expected), atol=2e-6, rtol=0)


def test_uint8_becomes_minus_one_to_one_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    out = normalise(levels)
    assert out.shape == (1, 1, 16, 16)
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    torch.testing.assert_close(out.flatten(), torch.arange(256) / 127.5 - 1, atol=1e-7, rtol=0)
    assert out.min() == -1
    assert out.max() == 1
    assert torch.equal(((out + 1) * 127.5).round().to(torch.uint8).flatten(), levels.flatten())


def test_normalising_moves_channels_first() -> None:
    image = torch.zeros(1, 4, 6, 3, dtype=torch.uint8)
    image[0, 1, 2, 0] = 255
    out = normalise(image)
    assert out.shape == (1, 3, 4, 6)
    assert out[0, 0, 1, 2] == 1
    assert out.sum() == -(3 * 4 * 6) + 2


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_prepared_images_keep_shape_type_and_range(channels: int) -> None:
    strongest = Augmentation(enlarge=2.0, flip=1.0, brightness=1.0, contrast=1.0)
    images = pixels(8, channels)
    before = images.clone()
    out = prepare(images, strongest, torch.Generator().manual_seed(0))
    assert out.shape == (8, channels, 32, 32)
    assert out.dtype == torch.float32
    assert out.min() >= -1
    assert out.max() <= 1
    assert torch.equal(images, before)


def test_switched_off_it_only_normalises() -> None:
    assert not OFF
    images = pixels()
    assert torch.equal(prepare(images, OFF, torch.Generator()), normalise(images))


@pytest.mark.parametrize("part", ["enlarge", "flip", "brightness", "contrast"])
def test_each_part_can_be_on_alone(part: str) -> None:
    alone = Augmentation(**{"enlarge": 1.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0} | {part: 1.25})
    assert alone
    images = pixels()
    assert not torch.equal(prepare(images, alone, torch.Generator().manual_seed(0)), normalise(images))


def test_the_same_generator_makes_the_same_images() -> None:
    images = pixels()
    one, two, other = (prepare(images, Augmentation(), torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_flip_alone_mirrors_some_and_leaves_the_rest() -> None:
    images = pixels(40)
    flips = Augmentation(enlarge=1.0, flip=0.5, brightness=0.0, contrast=0.0)
    out = prepare(images, flips, torch.Generator().manual_seed(0))
    plain = normalise(images)
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-6) for a, b in zip(out, plain, strict=True)]
    same = [torch.allclose(a, b, atol=1e-6) for a, b in zip(out, plain, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 8 < sum(mirrored) < 32


def test_random_choices_have_the_documents_distribution() -> None:
    draws = draws_for(Augmentation(), 20_000, size=64)
    for offset in (draws.top, draws.left):
        assert offset.min() == 0
        assert offset.max() == 8  # 72 - 64
        assert (torch.bincount(offset) / 20_000 - 1 / 9).abs().max() < 0.015
    assert abs(draws.flip.float().mean() - 0.5) < 0.02
    for factor in (draws.brightness, draws.contrast):
        assert 0.8 <= factor.min() < 0.801
        assert 1.199 < factor.max() <= 1.2
        assert abs(factor.mean() - 1) < 0.005
    assert abs(draws.contrast_first.float().mean() - 0.5) < 0.02
    assert abs(torch.corrcoef(torch.stack([draws.top.float(), draws.left.float()]))[0, 1]) < 0.03


def rgba(count: int = 16, size: int = 32) -> torch.Tensor:
    """Random colours, each image seen in one half."""
    images = floats(count, 4, size)
    images[:, 3, :, : size // 2] = 0
    return images


def test_an_opaque_image_is_changed_as_one_without_alpha() -> None:
    strong = Augmentation(enlarge=1.25, flip=0.5, brightness=0.6, contrast=0.6)
    images, draws = floats(16), draws_for(strong, 16)
    opaque = torch.cat([images, torch.ones(16, 1, 32, 32)], dim=1)
    changed = augment(opaque, draws, enlarged(32, strong))
    torch.testing.assert_close(changed[:, :3], augment(images, draws, enlarged(32, strong)), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[:, 3], torch.ones(16, 32, 32), atol=1e-6, rtol=0)


def test_jitter_leaves_alpha_as_it_is() -> None:
    jitter = Augmentation(enlarge=1.0, flip=0.0, brightness=0.9, contrast=0.9)
    images = rgba()
    changed = augment(images, draws_for(jitter, 16), 32)
    assert torch.equal(changed[:, 3], images[:, 3])
    assert not torch.allclose(changed[:, :3], images[:, :3], atol=0.1)


def test_flips_and_crops_take_the_alpha_along() -> None:
    moves = Augmentation(enlarge=1.25, flip=0.5, brightness=0.0, contrast=0.0)
    images, draws = rgba(), draws_for(moves, 16)
    changed = augment(images, draws, 40)
    alone = augment(images[:, 3:], draws, 40)  # as an image of its own
    torch.testing.assert_close(changed[:, 3:], alone, atol=1e-6, rtol=0)


def test_what_is_seen_does_not_depend_on_the_colour_of_what_is_not() -> None:
    strong = Augmentation(enlarge=1.25, flip=0.5, brightness=0.6, contrast=0.6)
    images, draws = rgba(), draws_for(strong, 16)
    other = images.clone()
    other[:, :3] = torch.where(images[:, 3:] > 0, images[:, :3], 1 - images[:, :3])
    one, two = (augment(each, draws, enlarged(32, strong)) for each in (images, other))
    torch.testing.assert_close(one[:, :3] * one[:, 3:], two[:, :3] * two[:, 3:], atol=3e-3, rtol=0)
    assert not torch.allclose(one, two, atol=0.1)


def test_an_image_without_a_visible_pixel_stays_finite() -> None:
    clear = torch.cat([floats(4), torch.zeros(4, 1, 32, 32)], dim=1)
    changed = augment(clear, draws_for(Augmentation(), 4), 36)
    assert changed.isfinite().all()
    assert not changed[:, 3].any()
