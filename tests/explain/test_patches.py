"""Patches: the strongest ones there are, at the places that are told, and cut to the pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_explain import bars_subject, subject
from trained_models import bars

from cnntool.errors import ModelFileError, NameNotFound
from cnntool.explain.activations import activations
from cnntool.explain.patches import Patch, TopPatches, cut
from cnntool.nn.network import Network
from cnntool.nn.nodes import Chain
from cnntool.nn.spec import parse

VALID = "conv 4 3x2 | relu | maxpool 2 | conv 5 2x3 2x1 | tanh | flatten | dense 3"
SHAPE = (3, 13, 16)


def photos(count, shape=SHAPE, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (*shape, count)).astype(np.uint8)


def searched(one, layer, images, parts=(5, 1, 8), **options):
    search, first = TopPatches(one, layer, **options), 0
    for count in parts:
        search.add(images[..., first : first + count])
        first += count
    search.add(images[..., first:]) if first < images.shape[-1] else None
    return search


# --- what is found


@pytest.mark.parametrize("layer", ["0.conv", "2.maxpool", "4.tanh", "6.dense"])
def test_the_strongest_of_all(layer):
    """Against a look at every map of every picture."""
    one, images = subject(VALID, SHAPE), photos(20)
    search = searched(one, layer, images, top=4)
    assert search.pictures == 20
    maps = np.stack([activations(one, images[..., n], layer)[layer] for n in range(20)])
    found = search.patches()
    assert len(found) == maps.shape[1] * 4
    for filter in range(maps.shape[1]):
        best = maps[:, filter].reshape(20, -1).max(axis=1)
        order = np.argsort(-best, kind="stable")[:4]
        rows = [patch for patch in found if patch.filter == filter]
        assert [patch.rank for patch in rows] == [1, 2, 3, 4]
        assert [patch.source for patch in rows] == order.tolist()
        np.testing.assert_allclose([patch.activation for patch in rows], best[order], rtol=1e-5)
        for patch in rows:
            one_map = maps[patch.source, filter].reshape(-1, maps.shape[3] if maps.ndim == 4 else 1)
            assert one_map[patch.at] == pytest.approx(patch.activation, rel=1e-5)


@pytest.mark.parametrize("layer", ["0.conv", "2.maxpool", "4.tanh"])
def test_a_patch_alone_gives_the_same_activation(layer):
    """The layers up to there, as a network for an input as large as the patch."""
    one, images = subject(VALID, SHAPE), photos(30, seed=2)
    row = one.network.rows[layer]
    chain = parse(VALID)
    number = [r.name for r in one.plain.trace.rows].index(layer)
    height, width = row.field.size
    alone = Network(Chain(chain.items[: number + 1]), (3, height, width))
    alone.load({name: one.plain.tensors[name] for name in alone.tensors})
    for patch in searched(one, layer, images, parts=(30,), top=5).patches():
        part, inside = cut(images[..., patch.source], patch)
        assert inside.all() and part.shape == (3, height, width), "nothing is padded here"
        top, left, bottom, right = patch.box
        np.testing.assert_array_equal(part, images[:, top:bottom, left:right, patch.source])
        y = alone.predict(one.preprocess.prepare(part[..., None]))
        assert y.shape[1:3] == (1, 1)
        assert float(y[patch.filter, 0, 0, 0]) == pytest.approx(patch.activation, abs=1e-5)


def test_what_lies_outside_of_the_patch_changes_nothing():
    """Padding, sums and stacks: the picture is noise but for the patch, and the neuron the same."""
    one = subject(
        "conv 4 3 pad=1 | relu | residual(conv 4 3 pad=1) | concat(conv 2 1, conv 3 3 pad=1) | "
        "maxpool 2", (3, 13, 16),
    )  # fmt: skip
    images = photos(12, (3, 13, 16), seed=3)
    for layer in ("2.main.conv", "3.concat", "4.maxpool"):
        for patch in searched(one, layer, images, parts=(12,), top=3).patches():
            other = photos(1, (3, 13, 16), seed=9)[..., 0]
            top, left, bottom, right = patch.box
            other[:, top:bottom, left:right] = images[:, top:bottom, left:right, patch.source]
            maps = activations(one, other, layer)[layer]
            found = maps[(patch.filter, *patch.at)]
            assert found == pytest.approx(patch.activation, abs=1e-5), (layer, patch)


def test_order_of_batches_does_not_matter():
    one, images = subject(VALID, SHAPE), photos(20)
    first = searched(one, "3.conv", images, parts=(20,)).patches()
    second = searched(one, "3.conv", images, parts=(1, 2, 3, 4)).patches()
    for a, b in zip(first, second, strict=True):
        assert (a.source, a.at, a.filter, a.rank) == (b.source, b.at, b.filter, b.rank)


def test_of_equal_ones_the_first_counts():
    one, images = subject(VALID, SHAPE), np.repeat(photos(1), 5, axis=3)
    sources = [p.source for p in searched(one, "0.conv", images, parts=(2,), top=3).patches()]
    assert sources == [0, 1, 2] * 4


def test_fewer_pictures_than_patches_and_some_filters():
    one = subject(VALID, SHAPE)
    search = searched(one, "3.conv", photos(3), parts=(3,), top=9, channels=(4, 0))
    assert [(p.filter, p.rank) for p in search.patches()] == [
        (4, 1), (4, 2), (4, 3), (0, 1), (0, 2), (0, 3),
    ]  # fmt: skip
    assert TopPatches(one, "3.conv").patches() == []


def test_memory_does_not_grow_with_pictures():
    one = bars_subject()
    search = TopPatches(one, "1.relu", top=4)
    images = np.ascontiguousarray(bars(64, seed=1)[0].transpose(1, 2, 3, 0))
    search.add(images)
    sizes = [a.nbytes for a in (search._values, search._sources, search._places)]
    for _ in range(5):
        search.add(images)
    assert [a.nbytes for a in (search._values, search._sources, search._places)] == sizes
    assert search.pictures == 6 * 64


def test_filters_of_a_trained_model_answer_to_their_bars():
    """The output of a class is excited by pictures of it."""
    images, labels = bars(60, seed=3)
    batch = np.ascontiguousarray(images.transpose(1, 2, 3, 0))
    found = searched(bars_subject(), "4.dense", batch, parts=(60,), top=5).patches()
    assert [labels[patch.source] for patch in found] == [0] * 5 + [1] * 5 + [2] * 5
    assert {patch.box for patch in found} == {(0, 0, 12, 10)}


def test_what_is_refused():
    one = subject(VALID, SHAPE)
    with pytest.raises(NameNotFound, match="unknown layer 'conv'"):
        TopPatches(one, "conv")
    one.plain.tensors["0.conv.weight"][...] = 3e38
    with pytest.raises(ModelFileError, match="not finite"):
        TopPatches(one, "0.conv").add(photos(1))


# --- cutting


def patch(field, size=(4, 6)):
    top, left, bottom, right = field
    box = max(top, 0), max(left, 0), min(bottom, size[0]), min(right, size[1])
    return Patch(0, 1, 0, (0, 0), 1.0, field, box)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(-3, 3), st.integers(-5, 5), st.integers(1, 4), st.integers(1, 6)
)  # fmt: skip
def test_cut_pixel_by_pixel(top, left, height, width):
    image = np.arange(1, 49, dtype=np.uint8).reshape(2, 4, 6)
    field = top, left, top + height, left + width
    box = patch(field).box
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    part, inside = cut(image, patch(field))
    assert part.shape == (2, height, width)
    for y, x in np.ndindex(height, width):
        within = 0 <= top + y < 4 and 0 <= left + x < 6
        assert inside[y, x] == within
        expected = image[:, top + y, left + x] if within else [0, 0]
        np.testing.assert_array_equal(part[:, y, x], expected)


def test_fields_larger_than_the_picture():
    """Along that axis the picture is all there is to see."""
    image = np.arange(1, 25, dtype=np.uint8).reshape(1, 4, 6)
    part, inside = cut(image, patch((-3, -1, 5, 3)))
    assert part.shape == (1, 4, 4) and inside[:, 0].sum() == 0 and inside[:, 1:].all()
    np.testing.assert_array_equal(part[0, :, 1:], image[0, :, :3])
    part, inside = cut(image, patch((-9, -9, 9, 9)))
    assert inside.all() and (part == image).all()


def test_neurons_that_see_nothing():
    """Between the kernels of a transposed convolution that are shorter than its stride."""
    one = subject("deconv 1 1 3", (1, 4, 5))
    for found in searched(one, "0.deconv", photos(3, (1, 4, 5)), parts=(3,)).patches():
        part, inside = cut(photos(3, (1, 4, 5))[..., found.source], found)
        assert part.shape[1:] == inside.shape
