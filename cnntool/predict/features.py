"""What networks get that were trained on features instead of pictures."""

from __future__ import annotations

from collections.abc import Callable

from cnntool.backend import Array
from cnntool.errors import ShapeError
from cnntool.filters.hog_batch import hog_batch
from cnntool.nn.facts import times
from cnntool.nn.saved_model import HogFeatures, SavedModel


def picture_shape(model: SavedModel) -> tuple[int, int, int]:
    """(C, H, W) of the pictures that a model is for, before features are made of them.

    Raises:
        ShapeError: It takes no pictures but other numbers: a generator, say.
    """
    if model.features is not None:
        return model.preprocessing.channels, *model.features.size
    if len(model.input) != 3:
        raise ShapeError(f"the model takes {times(model.input)}, not pictures")
    c, h, w = model.input
    return c, h, w


def features_of(model: SavedModel, images: Array) -> Array:
    """The inputs of a network that gets features instead of pictures.

    Args:
        model: One whose ``features`` are not None.
        images: Pictures in the model's colour mode and size, 0..255.

    Shape:
        (C, H, W, N), uint8 -> (d, N), float32.

    Raises:
        ShapeError: The model has no features, or the pictures have another shape.

    Example:
        >>> import numpy as np
        >>> from cnntool.nn.saved_model import HogFeatures, Preprocessing
        >>> model = SavedModel(
        ...     spec="dense 10",
        ...     input=(1296,),
        ...     tensors={},
        ...     preprocessing=Preprocessing(color="gray", scale=1, mean=(0,), std=(1,)),
        ...     features=HogFeatures(size=(28, 28), cell=(4, 4), block=(2, 2)),
        ... )
        >>> features_of(model, np.zeros((1, 28, 28, 5), np.uint8)).shape
        (1296, 5)
    """
    if model.features is None:
        raise ShapeError("the model takes pictures as they are, it has no features")
    expected = picture_shape(model)
    if images.ndim != 4 or images.shape[:3] != expected:
        raise ShapeError(
            f"the model makes features of pictures {times(expected)}, got an array "
            f"{times(images.shape)}; it takes ({', '.join(map(str, expected))}, N)"
        )
    return hog_features(model.features, images)


def hog_features(
    features: HogFeatures,
    images: Array,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Array:
    """Features by their description; see :func:`cnntool.filters.hog_batch.hog_batch`.

    Shape:
        (C, H, W, N) -> (d, N), float32 for uint8 pictures.
    """
    return hog_batch(
        images,
        features.orientations,
        features.cell,
        features.block,
        features.norm,
        features.signed,
        features.sqrt,
        progress=progress,
    )
