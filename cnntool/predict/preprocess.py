"""From pictures to what a network takes: one rule for training, evaluation and prediction.

Two steps. A picture of any kind becomes samples 0..255 of one size and colour, once; these are what
data sets hold. Each batch of them becomes floats by (x · scale - mean) / std, which is one
multiplication and one addition, or histograms of gradients, as often as it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array, array_module
from cnntool.data.fitting import fitted, framed
from cnntool.errors import ShapeError
from cnntool.images.picture import Picture
from cnntool.nn.facts import times
from cnntool.nn.saved_model import HogFeatures, Preprocessing, SavedModel
from cnntool.predict.features import hog_features, picture_shape

MARGIN = 0.2
"""How much nearer a mean must be to the negatives of the training's pictures to be worth a note."""


@dataclass(frozen=True)
class Preprocessor:
    """What is done to pictures before the network sees them.

    Attributes:
        how: Colour, fit and normalisation.
        size: Height and width of the pictures.
        features: What the network gets in their place; None: the pictures themselves.

    Example:
        >>> how = Preprocessing(color="gray", mean=(0.5,), std=(0.25,))
        >>> prepared = Preprocessor(how, (1, 2)).prepare(np.array([[[[0], [255]]]], np.uint8))
        >>> prepared.ravel().tolist()
        [-2.0, 2.0]
    """

    how: Preprocessing
    size: tuple[int, int]
    features: HogFeatures | None = None

    @classmethod
    def of(cls, saved: SavedModel) -> Preprocessor:
        """That of a model.

        Raises:
            ShapeError: The model takes no pictures.
        """
        _, height, width = picture_shape(saved)
        return cls(saved.preprocessing, (height, width), saved.features)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture."""
        return (self.how.channels, *self.size)

    def from_picture(self, picture: Picture, *, invert: bool = False) -> NDArray[np.uint8]:
        """The samples of one picture, in the size and colour that are needed.

        Args:
            picture: Any picture. Samples of 16 bits and floats are rounded to 8 bits, opacity is
                laid over white.
            invert: Whether its negative is taken; what ``pad`` surrounds it with stays.

        Shape:
            (H', W'[, C']) -> (C, H, W).

        Raises:
            InputError: It has a strange number of channels, or holds NaN.
        """
        how = self.how
        pixels = fitted(picture, gray=how.channels == 1, size=self.size, fit=how.fit)
        if invert:
            pixels = 255 - pixels
        return framed(pixels, how.channels, self.size, how.background)

    def prepare(self, images: Array, out: Array | None = None) -> Array:
        """What the network gets of a batch: (x · scale - mean) / std, or features.

        Args:
            images: Samples 0..255 of NumPy or CuPy, in any type.
            out: float32 array of the same shape to write to; a new one if left out. Features make
                one of their own.

        Shape:
            (C, H, W, N) -> the same, or (d, N) features; float32.

        Raises:
            ShapeError: The batch does not have the channels of the pictures.
        """
        if images.ndim != 4 or images.shape[0] != self.how.channels:
            raise ShapeError(
                f"pictures of shape {times(images.shape)} do not fit; (C, H, W, N) with C = "
                f"{self.how.channels} is needed"
            )
        if self.features is not None:
            return hog_features(self.features, images)
        if out is None:
            out = array_module(images).empty(images.shape, dtype=np.float32)
        out[...] = images
        factors, shifts = self.factors, self.shifts
        if len(set(zip(factors, shifts, strict=True))) == 1:
            out *= factors[0]
            out += shifts[0]
            return out
        for channel, factor, shift in zip(out, factors, shifts, strict=True):
            channel *= factor  # a view: no array of numbers that would have to go to a GPU first
            channel += shift
        return out

    @cached_property
    def factors(self) -> Sequence[float]:
        """What samples of each channel are multiplied by on their way to the input."""
        return [self.how.scale / std for std in self.how.std]

    @cached_property
    def shifts(self) -> Sequence[float]:
        """What is added to each channel then: the input that a sample of 0, black, becomes."""
        return [-mean / std for mean, std in zip(self.how.mean, self.how.std, strict=True)]

    def restore(self, inputs: Array) -> Array:
        """The pictures that became these inputs: :meth:`prepare` undone, but for features.

        Args:
            inputs: What a network gets, of NumPy or CuPy.

        Shape:
            (C, H, W, N) -> the same, float32; samples are 0..255 where the inputs come from such.

        Example:
            >>> how = Preprocessing(color="gray", mean=(0.5,), std=(0.25,))
            >>> one = Preprocessor(how, (1, 2))
            >>> samples = one.restore(one.prepare(np.array([[[[51], [255]]]], np.uint8)))
            >>> samples.round(3).ravel().tolist()
            [51.0, 255.0]
        """
        samples = array_module(inputs).array(inputs, dtype=np.float32)
        for channel, factor, shift in zip(samples, self.factors, self.shifts, strict=True):
            channel -= shift
            channel /= factor
        return samples

    def unlike_training(self, image: NDArray[np.uint8], *, inverted: bool = False) -> str:
        """What to say of a picture that is bright where the training's were dark, or reversed.

        It is so if its mean is clearly nearer to that of the negatives of the training's pictures
        than to theirs: by :data:`MARGIN`, so nothing is said where those were neither dark nor
        bright.

        Args:
            image: Samples of one picture, as :meth:`from_picture` gives them.
            inverted: Whether they are those of its negative.

        Returns:
            A sentence without the name of the picture; nothing if there is nothing to say.
        """
        usual = self.how.brightness
        if usual is None:
            return ""
        found, negative = int(image.sum(dtype=np.int64)) / (255 * image.size), 1 - usual
        if abs(found - usual) - abs(found - negative) <= MARGIN:
            return ""
        advice = "try it without --invert" if inverted else "--invert takes its negative"
        unlike = f"brightness {found:.2f} is unlike that of the training's pictures, {usual:.2f}"
        return f"{unlike}; {advice}"
