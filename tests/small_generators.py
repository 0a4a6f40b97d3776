"""Small generators for tests: models of every kind, and files that hold them."""

import dataclasses

import numpy as np
from small_models import numbers

from cnntool.nn.generation import Generation, Maker
from cnntool.nn.modelfile import save_model
from cnntool.nn.saved_model import Preprocessing, SavedModel

GRAY = Preprocessing(color="gray", scale=1 / 127.5, mean=(1.0,), std=(1.0,))
CLASSES = ("cat", "dog", "owl")


def made(spec, input, generation, later=(), classes=(), color="gray", seed=0):
    """A model with random numbers; ``later`` are specification, input and name of other parts."""
    tensors = numbers(spec, input, seed)
    for text, size, name in later:
        tensors |= {f"{name}/{key}": value for key, value in numbers(text, size, seed + 1).items()}
    tensors = {key: value - np.float32(0.5) for key, value in tensors.items()}
    how = GRAY if color == "gray" else Preprocessing(scale=1 / 127.5, mean=(1.0,) * 3)
    return SavedModel(
        spec=spec, input=input, tensors=tensors, task="generate", classes=classes,
        preprocessing=dataclasses.replace(how, std=(1.0,) * len(how.mean)), generation=generation,
    )  # fmt: skip


def plain():
    """Of 5 numbers, 6x8."""
    return made("dense 48 | tanh | reshape 1x6x8", (5,), Generation(latent=5))


def of_class():
    """Of 4 numbers and a class, 6x8."""
    return made(
        "dense 48 | tanh | reshape 1x6x8",
        (4 + 3,),
        Generation(condition="class", width=3, latent=4),
        classes=CLASSES,
    )


def of_vector():
    """Of 2 numbers and a vector of 3, in colour."""
    return made(
        "dense 72 | tanh | reshape 3x4x6",
        (2 + 3,),
        Generation(condition="vector", width=3, latent=2),
        color="rgb",
    )


def in_stages():
    """Of an embedded class; 3x4, then 5x8."""
    spec, later = "dense 12 | tanh | reshape 1x3x4", "conv 1 3 pad=1 | tanh"
    return made(
        spec,
        (4 + 2,),
        Generation(
            condition="class", width=3, latent=4, embed=2, embedding="dense 4",
            later=(Maker(later, (1 + 1 + 2, 5, 8)),),
        ),
        [(later, (4, 5, 8), "stage2"), ("dense 4", (3,), "embed")],
        classes=CLASSES,
    )  # fmt: skip


def painter(condition="superres", joins="adds", channels=1, size=(8, 8), spec=None, latent=0):
    """Of pictures: convolutions alone."""
    maps = (1 if condition == "colorize" else channels) + latent
    return made(
        spec or f"conv 3 3 pad=1 | relu | conv {channels} 3 pad=1",
        (maps, *size),
        Generation(condition=condition, joins=joins, latent=latent),
        color="gray" if channels == 1 else "rgb",
    )


KINDS = {
    "plain": plain, "class": of_class, "vector": of_vector, "stages": in_stages,
    "painter": painter,
}  # fmt: skip


def saved(folder, model, name="model.safetensors"):
    """The path of its file."""
    path = folder / name
    save_model(str(path), model)
    return path
