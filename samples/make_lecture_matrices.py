"""Write the tiny pictures of this folder again: the lectures' matrices, a square, a gradient.

python samples/make_lecture_matrices.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

MATRICES = {
    # the example of all lectures
    "lecture-a.png": """
        3 3 5 1 2 3
        3 4 0 1 4 5
        5 1 2 3 2 0
        5 0 4 5 2 1
        3 4 3 1 0 2
        2 0 4 3 5 1
    """,
    # padding
    "lecture-b.png": """
        4 4 3 2
        2 3 4 4
        1 1 3 2
        1 2 2 2
    """,
    # pooling: the maxima of its 2x2 windows lie at (2,2), (2,4), (3,1) and (4,4)
    "lecture-pool.png": """
        1 1 2 4
        5 6 7 8
        3 2 1 0
        1 2 3 4
    """,
    # a feature map
    "lecture-map.png": """
        1 1 1 0 0
        0 1 1 1 0
        0 0 1 1 1
        0 0 1 1 0
        0 1 1 0 0
    """,
    # the gradient at the centre
    "lecture-hog.png": """
        121  10  78  96 125
         48 152  68 125 111
        145  78  85  89  65
        154 214  56 200  66
        214  87  45 102  45
    """,
    # three places of a handwritten digit
    "lecture-digit-1.png": """
        0 0 0
        0 0 0
        0 0 1
    """,
    "lecture-digit-2.png": """
        0 0 0
        0 0 0
        0 1 0
    """,
    "lecture-digit-3.png": """
        0 0 0
        0 0 1
        1 0 0
    """,
}


def matrix(text: str) -> np.ndarray:
    rows = [line.split() for line in text.strip().splitlines()]
    return np.array(rows, dtype=np.uint8)


def square() -> np.ndarray:
    """An opaque square on transparent ground whose hidden colour is black."""
    pixels = np.zeros((48, 64, 4), dtype=np.uint8)
    pixels[12:36, 20:44] = (230, 120, 20, 255)
    return pixels


def gradient() -> np.ndarray:
    """Grey of 16 bits from left to right, most values of which 8 bits cannot hold."""
    row = np.linspace(0, 65535, 320).round().astype(np.uint16)
    return np.tile(row, (40, 1))


def pictures() -> dict[str, np.ndarray]:
    made = {name: matrix(text) for name, text in MATRICES.items()}
    return made | {"square.png": square(), "gradient-16bit.png": gradient()}


def write(folder: Path) -> None:
    for name, pixels in pictures().items():
        Image.fromarray(pixels).save(folder / name)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
