"""Images from a generator that a Triton server serves, by their seeds: needs tritonclient[http].

    python client.py --seed 7 -n 4
    python client.py --url localhost:8000 --seed 7 -n 16 --label cat --truncation 0.7 --out images.npy

A seed's image is that of `wgan sample` with the same seed, label and truncation.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

MODEL = "generator_seeds"
BATCH = 64  # images in a request
WAIT = 60.0  # seconds for an answer


def infer(
    client: triton.InferenceServerClient,
    output: str,
    seeds: Sequence[int],
    label: int | None = None,
    truncation: float | None = None,
    model: str = MODEL,
) -> np.ndarray:
    """Asks for the images of ``seeds`` (N,), at most what the model's max_batch_size allows.

    Args:
        client: of a server.
        output: pixels, uint8 (N, H, W, C); or png, the bytes of N files.
        seeds: from 0 to 2^63 - 1.
        label: the number of one class for all; None for the class s mod K of seed s.
        truncation: as in `wgan sample`, with at most six digits; None for none.
        model: the name that the server has for it.

    Raises:
        InferenceServerException: the server refused; of 503 ask again later.
    """
    inputs = [_input("seed", np.array(seeds, np.int64), "INT64")]
    if label is not None:
        inputs.append(_input("label", np.full(len(seeds), label, np.int64), "INT64"))
    if truncation is not None:
        inputs.append(_input("truncation", np.full(len(seeds), truncation, np.float32), "FP32"))
    answer = client.infer(model, inputs, outputs=[triton.InferRequestedOutput(output)]).as_numpy(output)
    images: np.ndarray = answer.reshape(-1) if output == "png" else answer
    return images


def pixels(client: triton.InferenceServerClient, seeds: Sequence[int], **asked: object) -> np.ndarray:
    """8-bit pixels, uint8 (N, H, W, C), of as many seeds as there are; the rest as in `infer`."""
    parts = [infer(client, "pixels", part, **asked) for part in _parts(seeds)]  # type: ignore[arg-type]
    return np.concatenate(parts)


def class_number(client: triton.InferenceServerClient, name: str, model: str = MODEL) -> int:
    """The number of the class of this name. Raises ValueError where the model has none."""
    facts = client.get_model_config(model)["parameters"]
    names: list[str] = json.loads(facts.get("wgan.classes", {}).get("string_value", "[]"))
    if name not in names:
        raise ValueError(f"label {name} is not one of {', '.join(names) or 'none: it was trained without labels'}")
    return names.index(name)


def _parts(seeds: Sequence[int]) -> list[Sequence[int]]:
    return [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]


def _input(name: str, values: np.ndarray, kind: str) -> triton.InferInput:
    tensor = triton.InferInput(name, [len(values), 1], kind)
    tensor.set_data_from_numpy(values[:, None])
    return tensor


def main() -> None:
    """Writes a folder of PNG files, or uint8 (N, H, W, C) into a .npy file."""
    parser = argparse.ArgumentParser(description="images from a Triton server, by their seeds")
    parser.add_argument("--url", default="localhost:8000", help="of the server")
    parser.add_argument("--model", default=MODEL, help="what the server calls it")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("-n", type=int, default=4, help="how many images")
    parser.add_argument("--label", help="a class by its name")
    parser.add_argument("--truncation", type=float, help="less variety, nearer to the typical image")
    parser.add_argument("--out", type=Path, default=Path("images"), help="a folder, or a file .npy")
    words = parser.parse_args()
    seeds = range(words.seed, words.seed + words.n)
    try:
        with triton.InferenceServerClient(words.url, network_timeout=WAIT, connection_timeout=WAIT) as client:
            label = None if words.label is None else class_number(client, words.label, words.model)
            asked = {"label": label, "truncation": words.truncation, "model": words.model}
            if words.out.suffix == ".npy":
                np.save(words.out, pixels(client, seeds, **asked))
            else:
                words.out.mkdir(parents=True, exist_ok=True)
                for part in _parts(seeds):
                    for seed, file in zip(part, infer(client, "png", part, **asked), strict=True):
                        (words.out / f"seed-{seed:06d}.png").write_bytes(file)
    except (InferenceServerException, OSError, ValueError) as error:
        parser.exit(2, f"{words.url}: {error}\n")
    print(json.dumps({"server": words.url, "images": words.n, "out": str(words.out)}))


if __name__ == "__main__":
    main()
