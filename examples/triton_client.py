"""Images from a generator that a Triton server serves, by latents of your own.

wgan export --format triton          # writes runs/<run>/export/triton, and says how to start a server on it
pip install 'tritonclient[http]' pillow
python examples/triton_client.py localhost:8000

For images by their seeds there is client.py, which the export writes beside the repository.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from PIL import Image

MODEL = "generator"


def main(server: str = "localhost:8000", count: int = 4) -> None:
    """Writes ``count`` images of the server's generator into image-0.png and so on."""
    with triton.InferenceServerClient(server) as client:
        # The model says what it takes: z float32 (N, Z), and label int64 (N, 1) if it was trained with labels.
        inputs = {entry["name"]: entry for entry in client.get_model_metadata(MODEL)["inputs"]}
        latent_dim = int(inputs["z"]["shape"][-1])
        z = np.random.default_rng(0).standard_normal((count, latent_dim), np.float32)
        request = [triton.InferInput("z", list(z.shape), "FP32")]
        request[0].set_data_from_numpy(z)
        if "label" in inputs:
            label = np.zeros((count, *inputs["label"]["shape"][1:]), np.int64)  # the first class for all
            request.append(triton.InferInput("label", list(label.shape), "INT64"))
            request[-1].set_data_from_numpy(label)

        image = client.infer(MODEL, request).as_numpy("image")  # float32 (N, C, H, W) in [-1, 1]
    pixels = np.rint((image + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(f"image-{number}.png")
    print(json.dumps({"server": server, "images": list(pixels.shape)}))


if __name__ == "__main__":
    main(*sys.argv[1:2])
