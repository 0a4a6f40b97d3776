"""Words of options: what a shell completes and a help page lists, without loading NumPy."""

from __future__ import annotations

BORDERS = (
    "reflect", "symmetric", "edge", "wrap", "constant", "max",
    "mirror", "reflect101", "replicate", "nearest", "clamp", "circular", "tile", "periodic",
    "zero", "zeros", "black",
)  # fmt: skip
"""The six borders, then the words that other tools have for them."""

METHODS = ("auto", "direct", "separable", "fft")
NORMALIZES = ("none", "sum", "l1")
RANGES = ("auto", "clip", "abs", "offset", "rescale", "raw")
SPACES = ("rgb", "hsv", "ycbcr", "lab", "gray")
POOL_KINDS = (
    "max", "avg", "sum", "min", "median", "l2",
    "global-max", "global-avg", "adaptive-max", "adaptive-avg",
)  # fmt: skip
HOG_NORMS = ("l1", "l1-sqrt", "l2", "l2-hys")
PYRAMIDS = ("gaussian", "laplacian")
