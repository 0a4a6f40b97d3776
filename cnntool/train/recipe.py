"""What a training does unless told otherwise: chosen by measurement, for each data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cnntool.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Defaults of a training.

    Attributes:
        model: A built-in network.
        options: Of :class:`cnntool.train.options.Options`, by name.
        unnormalised: What is otherwise where a network has no batch normalisation: rates that are
            best with it stop all ReLUs without it.
    """

    model: str
    options: Mapping[str, Any]
    unnormalised: Mapping[str, Any] = field(default_factory=dict)

    def options_for(self, spec: str) -> dict[str, Any]:
        """The options for a network.

        Example:
            >>> [PIXELS.options_for(spec)["lr"] for spec in ("conv 4 3 | batchnorm", "conv 4 3")]
            [0.012, 0.002]
        """
        normalised = "batchnorm" in spec
        return {**self.options, **({} if normalised else self.unnormalised)}


MNIST = Recipe(
    model="cnn-mnist",
    options=MappingProxyType(
        {
            "epochs": 4,
            "batch_size": 128,
            "optimizer": "sgd",
            "lr": 0.1,
            "schedule": "onecycle",
            "weight_decay": 5e-4,
        }
    ),
)

SMALL_PICTURES = Recipe(
    model="cnn-cifar",
    options=MappingProxyType(
        {
            "epochs": 15,
            "batch_size": 64,
            "optimizer": "adamw",
            "lr": 2e-3,
            "schedule": "onecycle",
            "weight_decay": 0.01,
        }
    ),
)

PICTURES = Recipe(
    model="cnn-cifar",
    options=MappingProxyType(
        {
            "epochs": 30,
            "batch_size": 64,
            "optimizer": "adamw",
            "lr": 2e-3,
            "schedule": "onecycle",
            "weight_decay": 0.05,
        }
    ),
)

PIXELS = Recipe(
    model="unet",
    options=MappingProxyType(
        {
            "epochs": 30,
            "batch_size": 16,
            "optimizer": "adamw",
            "lr": 1.2e-2,
            "schedule": "onecycle",
            "weight_decay": 0.05,
            "loss": "both",
        }
    ),
    unnormalised=MappingProxyType({"lr": 2e-3}),
)

FURTHER: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 10,
        "batch_size": 32,
        "optimizer": "adamw",
        "lr": 1e-3,
        "schedule": "onecycle",
        "weight_decay": 0.01,
    }
)
"""Defaults where a model is trained further."""

GANS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "vanilla": MappingProxyType({"epochs": 40, "batch_size": 64, "lr": 2e-4}),
        "dcgan": MappingProxyType({"epochs": 15, "batch_size": 64, "lr": 2e-4}),
        "conditional": MappingProxyType({"epochs": 12, "batch_size": 64, "lr": 2e-4}),
        "lapgan": MappingProxyType({"epochs": 6, "batch_size": 64, "lr": 2e-4}),
        "stackgan": MappingProxyType({"epochs": 7, "batch_size": 64, "lr": 2e-4}),
        "translate": MappingProxyType(
            {"epochs": 3, "batch_size": 64, "lr": 1e-3, "content": 100.0}
        ),
        "custom": MappingProxyType({"epochs": 12, "batch_size": 64, "lr": 2e-4}),
    }
)
"""Defaults of adversarial trainings: epochs are those of each stage."""

BY_NAME: Mapping[str, Recipe] = MappingProxyType({"mnist": MNIST})


def recipe_for(dataset: Dataset) -> Recipe:
    """The recipe of a data set: its own, or by the size of its pictures."""
    if dataset.name in BY_NAME:
        return BY_NAME[dataset.name]
    if dataset.segments:
        return PIXELS
    channels, height, width = dataset.shape
    return SMALL_PICTURES if channels == 1 and min(height, width) <= 32 else PICTURES
