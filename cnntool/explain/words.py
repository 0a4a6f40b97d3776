"""Words of the command line for looking inside networks; nothing here loads NumPy."""

from __future__ import annotations

METHODS = {
    "gradient": "how fast the score changes with each pixel",
    "input-gradient": "the gradient times the pixel's brightness",
    "guided": "the gradient, of which only what helps comes through each ReLU",
    "integrated": "parts of the score's difference to a plain picture",
    "smoothgrad": "the mean gradient of noisy copies",
}
"""Ways to tell which pixels matter, and what they tell."""

COPIES, NOISE = 32, 0.15
"""Noisy copies of ``smoothgrad``, and how noisy they are: the share of the picture's range."""

FILLS = ("mean", "black", "white")
"""Plain pictures: the mean of the training's pictures, or the ends of the range."""

LAYER_ALL = "all"
"""In place of a layer's or class's name: each of them."""
