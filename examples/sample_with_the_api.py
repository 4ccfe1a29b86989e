"""From images to a deployed generator in one program: train, export, check, sample.

python examples/sample_with_the_api.py              # the built-in faces, a few minutes
python examples/sample_with_the_api.py photos       # a folder of your own images
"""

import sys

import numpy as np

import wgan


def main(data: str = "faces", **settings: object) -> None:
    """Trains on ``data`` with the demo preset, exports to ONNX and writes 64 images."""
    # Progress is on stderr; Ctrl-C stops after the step that it is at, with the state saved.
    run = wgan.train(data, preset="demo", **settings)
    print(f"trained {run.path}: step {run.step}, sliced Wasserstein distance {run.swd}")

    # The file is written only if it makes the same images as PyTorch: otherwise this raises wgan.ParityError.
    artifact = wgan.export(run, "onnx")
    print(f"{artifact.path} differs from PyTorch by at most {artifact.parity['max_abs']:.1e}")

    # From here on torch is not needed: this is what a deployed machine does.
    with wgan.load(artifact.path, device="auto") as generator:
        images = generator.sample(64, seed=0)  # uint8 (64, H, W, C); seed s is the same image everywhere
        again = generator.sample(1, seed=10)
    assert np.array_equal(images[10], again[0])
    np.save("images.npy", images)
    print(f"images.npy: {images.shape}, {images.dtype}")


if __name__ == "__main__":
    main(*sys.argv[1:])
