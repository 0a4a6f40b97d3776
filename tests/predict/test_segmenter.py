"""Shares of classes for pixels: fits undone, tiles mixed, what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.backend import get
from cnntool.errors import OptionError
from cnntool.images.picture import Picture
from cnntool.nn.network import Network
from cnntool.nn.saved_model import Preprocessing, SavedModel
from cnntool.nn.spec import parse
from cnntool.predict.model import TrainedModel
from cnntool.predict.preprocess import Preprocessor
from cnntool.predict.segmenter import Segmenter
from cnntool.predict.tiles import _starts


def model(spec="conv 3 1", size=(6, 8), fit="stretch", device="cpu"):
    """A network that looks at single pixels of grey pictures, as a trained model."""
    network = Network(parse(spec), (1, *size), device=get(device))
    network.initialise(seed=4)
    how = Preprocessing(color="gray", fit=fit, mean=(0.5,), std=(0.25,))
    saved = SavedModel(spec=spec, input=(1, *size), tensors={}, task="segment", preprocessing=how)
    return TrainedModel("m", saved, network, Preprocessor(how, size))


def softmax(z):
    e = np.exp(np.float64(z) - z.max(axis=0))
    return e / e.sum(axis=0)


def pixelwise(found, pixels):
    """Shares (3, H, W) of a 1x1 convolution, pixel by pixel."""
    weight = found.network.tensors["0.conv.weight"][:, 0, 0, 0]
    bias = found.network.tensors["0.conv.bias"]
    x = (pixels / 255 - 0.5) / 0.25
    return softmax(weight[:, None, None] * x + bias[:, None, None])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, database=None)
def test_tiles_of_any_picture(height, width, seed):
    """A network that looks at single pixels says the same in every tile."""
    found = model()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    with Segmenter(found, tile=8) as segmenter:
        shares, unseen = segmenter.shares(Picture(pixels))
        assert unseen is None
        np.testing.assert_allclose(shares, pixelwise(found, pixels), atol=1e-5)
        inverted, _ = segmenter.shares(Picture(pixels), invert=True)
        np.testing.assert_allclose(inverted, pixelwise(found, 255.0 - pixels), atol=1e-5)


@given(st.integers(1, 300), st.integers(8, 64))
def test_tiles_cover_a_side_and_overlap(length, side):
    starts = _starts(max(length, side), side)
    assert starts[0] == 0 and starts[-1] + side == max(length, side)
    assert all(0 < b - a <= side - side // 4 for a, b in pairwise(starts))


def test_whole_pictures_of_the_input_size(rng):
    found = model()
    pixels = rng.integers(0, 256, (6, 8), dtype=np.uint8)
    with Segmenter(found) as segmenter:
        shares, unseen = segmenter.shares(Picture(pixels))
        labels = segmenter.labels(Picture(pixels))
    assert unseen is None
    np.testing.assert_allclose(shares, pixelwise(found, pixels), atol=1e-5)
    np.testing.assert_array_equal(labels, pixelwise(found, pixels).argmax(axis=0))


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(12, 16), (30, 10), (20, 31)])
def test_fits_are_undone(fit, size):
    """A picture that is dark above and bright below keeps its border where it is."""
    found = model(fit=fit)
    pixels = np.zeros(size, np.uint8)
    pixels[size[0] // 2 :] = 255
    with Segmenter(found) as segmenter:
        labels = segmenter.labels(Picture(pixels))
    assert labels.shape == size
    expected = pixelwise(found, pixels).argmax(axis=0)
    seen = labels != 255
    assert seen.all() == (fit != "crop" or size == (12, 16))
    clear = np.ones(size, bool)
    clear[size[0] // 2 - 5 : size[0] // 2 + 5] = False  # where the picture was made smaller
    np.testing.assert_array_equal(labels[seen & clear], expected[seen & clear])
    if fit == "crop" and size == (30, 10):
        # 6x8 of 30x10 is 7.5x10: rows from the middle
        assert seen.any(axis=1).sum() == 8 and seen[:, 0].sum() == 8


def test_outputs_of_another_size(rng):
    """A network that halves gives shares for pixels in between."""
    found = model("avgpool 2 | conv 3 1")
    pixels = np.full((6, 8), 90, np.uint8)
    with Segmenter(found) as segmenter:
        shares, _ = segmenter.shares(Picture(pixels))
    with Segmenter(found, tile=10) as segmenter:
        tiled, _ = segmenter.shares(Picture(pixels))
    assert shares.shape == tiled.shape == (3, 6, 8)
    np.testing.assert_allclose(shares, np.broadcast_to(shares[:, :1, :1], (3, 6, 8)), atol=1e-5)
    np.testing.assert_allclose(tiled, shares, atol=1e-5)


def test_workers_share_tiles(rng):
    found = model("conv 4 3 pad=1 | relu | conv 3 3 pad=1")
    picture = Picture(rng.integers(0, 256, (70, 50), dtype=np.uint8))
    with Segmenter(found, tile=16) as alone, Segmenter(found, tile=16, threads=2) as together:
        together.start()
        one, other = alone.shares(picture)[0], together.shares(picture)[0]
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("skip(maxpool 2 | deconv 4 2 2) | conv 3 1", "--tile 9 does not fit the network: "),
        (
            "flatten | dense 144 | reshape 3x6x8",
            "weights for pictures of 1×6×8 alone; tiles need a network of convolutions",
        ),
    ],
)
def test_networks_that_cannot_have_tiles(spec, words):
    with pytest.raises(OptionError, match=words):
        Segmenter(model(spec), tile=9)


def test_on_a_gpu(double_as_gpu, rng):
    picture = Picture(rng.integers(0, 256, (20, 17), dtype=np.uint8))
    with Segmenter(model()) as here, Segmenter(model(device="gpu")) as there:
        np.testing.assert_allclose(here.shares(picture)[0], there.shares(picture)[0], atol=1e-5)
