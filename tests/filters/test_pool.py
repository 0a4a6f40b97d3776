"""Pooling of pictures: worked examples, loops, block_reduce; and back again."""

import re

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import block_reduce

from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters.pool import Pooled, dropped, pool, unpool, unreached
from cnntool.filters.words import POOL_KINDS

A = np.array(
    [
        [3, 3, 5, 1, 2, 3],
        [3, 4, 0, 1, 4, 5],
        [5, 1, 2, 3, 2, 0],
        [5, 0, 4, 5, 2, 1],
        [3, 4, 3, 1, 0, 2],
        [2, 0, 4, 3, 5, 1],
    ],
    dtype=np.uint8,
)


def loops(image, kind, size, **options):
    x = image[None, :, :, None] if image.ndim == 2 else image[None]
    y, positions = reference.pool2d(x, kind, size, **options)
    cut = (0, ..., 0) if image.ndim == 2 else 0
    return y[cut], positions[cut]


# --- worked examples ---


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("max", [[4, 5, 5], [5, 5, 2], [4, 4, 5]]),
        ("avg", [[3.25, 1.75, 3.5], [2.75, 3.5, 1.25], [2.25, 2.75, 2]]),
        ("sum", [[13, 7, 14], [11, 14, 5], [9, 11, 8]]),
        ("min", [[3, 0, 2], [0, 2, 0], [0, 1, 0]]),
        ("median", [[3, 1, 3.5], [3, 3.5, 1.5], [2.5, 3, 1.5]]),
        ("global-max", [[5]]),
        ("global-avg", [[A.mean()]]),
        ("adaptive-max", [[5, 5], [5, 5]]),
    ],
)
def test_lecture_matrix(kind, expected):
    values, indices = pool(A, kind)
    assert indices is None
    np.testing.assert_allclose(values, expected, rtol=1e-7)


def test_norm_of_a_window():
    assert pool(np.array([[3.0, 0], [0, 4]]), "l2").values.item() == 5


def test_positions_of_the_lecture_matrix():
    values, indices = pool(A, return_indices=True)
    assert indices.tolist() == [[7, 2, 11], [12, 21, 16], [25, 32, 34]]
    assert values.tolist() == A.ravel()[indices].tolist()


# --- kinds, types, shapes ---


@pytest.mark.parametrize("kind", POOL_KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 1), (9, 11, 3), (9, 11, 4)])
def test_types_and_shapes(kind, dtype, shape, rng):
    image = rng.integers(0, 256, shape).astype(dtype)
    before = image.copy()
    values, _ = pool(image, kind, (2, 3))
    keeps = kind in ("max", "min", "global-max", "adaptive-max")
    assert values.dtype == (dtype if keeps or dtype == np.float64 else np.float32)
    plane = (1, 1) if "global" in kind else (2, 3) if "adaptive" in kind else (4, 3)
    assert values.shape == (*plane, *shape[2:])
    values[...] = 7
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("kind", "function"), [("max", np.max), ("min", np.min), ("avg", np.mean), ("sum", np.sum)]
)
def test_scikit_image_agrees_on_whole_blocks(kind, function, rng):
    image = rng.integers(0, 256, (12, 15, 3)).astype(np.float64)
    np.testing.assert_allclose(
        pool(image, kind, (3, 5)).values, block_reduce(image, (3, 5, 1), function), rtol=1e-12
    )


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["max", "min", "avg", "sum", "median", "lp"]),
    st.tuples(*[st.integers(1, 3)] * 6),
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 3]),
)
def test_windows_are_those_of_loops(kind, window, extra, ceil_mode, exclude, channels):
    size, stride, dilation = window[:2], window[2:4], window[4:]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
    padding = tuple(r // 2 for r in reach)
    plane = [r + d + e for r, d, e in zip(reach, dilation, extra, strict=True)]
    shape = plane if channels is None else [*plane, channels]
    image = np.random.default_rng(9).integers(0, 9, shape).astype(np.float64)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    exclude = exclude and kind == "avg"
    values, _ = pool(image, {"lp": "l2"}.get(kind, kind), size, exclude_pad=exclude, **geometry)
    wanted, positions = loops(image, kind, size, include_pad=not exclude, **geometry)
    np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-12)
    if kind == "max":
        found = pool(image, "max", size, return_indices=True, **geometry)
        np.testing.assert_array_equal(found.indices, positions)


@pytest.mark.parametrize("kind", ["max", "min", "avg", "sum", "median", "lp"])
@pytest.mark.parametrize(
    ("size", "stride"), [((3, 2, 2), None), ((2, 2, 1), (1, 2, 2)), ((2, 1, 3), (2, 1))]
)
def test_windows_across_channels(kind, size, stride, rng):
    image = rng.integers(0, 50, (6, 7, 4)).astype(np.float64)
    values, indices = pool(image, {"lp": "l2"}.get(kind, kind), size, stride)
    steps = {None: (size[0], size[1:])}.get(stride, (size[0], stride))
    if stride and len(stride) == 3:
        steps = (stride[0], stride[1:])
    x = image.transpose(2, 0, 1)[..., None]
    wanted, _ = reference.pool2d(x, kind, size[1:], steps[1], depth=size[0], depth_stride=steps[0])
    assert indices is None
    assert values.flags.c_contiguous
    np.testing.assert_allclose(values, wanted[..., 0].transpose(1, 2, 0), rtol=1e-12)


@pytest.mark.parametrize("kind", ["global-max", "adaptive-max", "global-avg", "adaptive-avg"])
def test_global_and_adaptive_kinds(kind, rng):
    image = rng.integers(0, 256, (7, 10, 3)).astype(np.uint8)
    size = (1, 1) if kind.startswith("global") else (3, 4)
    wanted, positions = reference.adaptive_pool2d(image[None], kind[-3:], size)
    maxima = kind.endswith("max")
    values, indices = pool(image, kind, size, return_indices=maxima)
    np.testing.assert_allclose(values, wanted[0], rtol=1e-6)
    if maxima:
        np.testing.assert_array_equal(indices, positions[0])


@pytest.mark.parametrize("kind", POOL_KINDS)
def test_every_library(kind, xp, rng):
    for shape in ((9, 11), (9, 11, 3)):
        image = rng.integers(0, 256, shape).astype(np.uint8)
        device = xp.to_device(image)
        options = {} if "-" in kind else {"stride": (2, 1), "padding": (1, 0), "ceil_mode": True}
        maxima = kind.endswith("max")
        with xp.no_transfers():
            found = pool(device, kind, (3, 2), return_indices=maxima, **options)
        wanted = pool(image, kind, (3, 2), return_indices=maxima, **options)
        np.testing.assert_array_equal(xp.to_host(found.values), wanted.values)
        if maxima:
            np.testing.assert_array_equal(xp.to_host(found.indices), wanted.indices)


def test_windows_across_channels_on_every_library(xp, rng):
    image = rng.integers(0, 256, (9, 11, 3)).astype(np.uint8)
    with_depth = pool(xp.to_device(image), "avg", (2, 3, 2), (1, 2, 2)).values
    np.testing.assert_array_equal(
        xp.to_host(with_depth), pool(image, "avg", (2, 3, 2), (1, 2, 2)).values
    )


# --- back again ---


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(2, 9), st.integers(2, 9)),
    st.sampled_from([None, 1, 3]),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
)
def test_unpooling_restores_the_maxima(plane, channels, size, dtype):
    shape = plane if channels is None else (*plane, channels)
    image = np.random.default_rng(10).integers(1, 99, shape).astype(dtype)
    values, indices = pool(image, size=size, return_indices=True)
    back = unpool(values, indices, image.shape)
    assert back.dtype == dtype
    assert back.shape == image.shape
    assert ((back == image) | (back == 0)).all()
    assert np.count_nonzero(back) == values.size
    np.testing.assert_array_equal(pool(back, size=size).values, values)


@pytest.mark.parametrize("kind", ["global-max", "adaptive-max"])
def test_unpooling_of_other_maxima(kind, rng):
    image = rng.permutation(63).reshape(7, 9) + 1
    values, indices = pool(image, kind, 1, return_indices=True)
    back = unpool(values, indices, (7, 9))
    assert back.max() == 63
    assert np.count_nonzero(back) == 1
    assert np.argmax(back) == np.argmax(image)


def test_unpooling_on_every_library(xp, rng):
    image = rng.integers(0, 256, (8, 6, 3)).astype(np.uint8)
    values, indices = pool(image, return_indices=True)
    found = unpool(xp.to_device(values), xp.to_device(indices), (8, 6))
    np.testing.assert_array_equal(xp.to_host(found), unpool(values, indices, (8, 6)))


# --- what is left out ---


@pytest.mark.parametrize(
    ("shape", "options", "left", "sentence"),
    [
        ((6, 6), {}, (0, 0, 0), ""),
        ((7, 6), {}, (1, 0, 0), "windows do not reach the last row; --ceil keeps it"),
        (
            (7, 11, 3),
            {"size": (2, 4)},
            (1, 3, 0),
            "windows do not reach the last row and the last 3 columns; --ceil keeps them",
        ),
        ((7, 11), {"size": (2, 4), "ceil_mode": True}, (0, 0, 0), ""),
        ((7, 6), {"padding": 1}, (0, 0, 0), ""),
        (
            (8, 8, 3),
            {"size": (2, 2, 2)},
            (0, 0, 1),
            "windows do not reach the last channel; --ceil keeps it",
        ),
        (
            (8, 8),
            {"size": 1, "stride": 5, "ceil_mode": True},
            (2, 2, 0),
            "windows do not reach the last 2 rows and the last 2 columns",
        ),
        (
            (8, 8),
            {"size": 1, "stride": 5},
            (2, 2, 0),
            "windows do not reach the last 2 rows and the last 2 columns",
        ),
    ],
)
def test_what_windows_do_not_reach(shape, options, left, sentence):
    assert unreached(shape, **options) == left
    assert dropped(shape, "avg", **options) == sentence
    assert dropped(shape, "global-max", **options) == ""


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 3)] * 6), st.integers(0, 9), st.booleans())
def test_pixels_behind_the_last_window_do_not_matter(window, extra, ceil_mode):
    size, stride, dilation = window[:2], window[2:4], window[4:]
    h, w = (d * (k - 1) + 1 + extra for d, k in zip(dilation, size, strict=True))
    options = {"size": size, "stride": stride, "dilation": dilation, "ceil_mode": ceil_mode}
    rows, columns, _ = unreached((h, w), **options)
    image = np.arange(h * w).reshape(h, w)
    values = pool(image, "max", **options).values
    if rows or columns:
        image[h - rows :] += 1000
        image[:, w - columns :] += 1000
        np.testing.assert_array_equal(pool(image, "max", **options).values, values)
    image[h - rows - 1 :, w - columns - 1 :] += 5000
    assert (pool(image, "max", **options).values != values).any()


# --- errors ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "median", "return_indices": True}, "max, global-max, adaptive-max pooling only"),
        ({"kind": "max", "exclude_pad": True}, "makes sense for 'avg' only, got 'max'"),
        ({"kind": "global-max", "stride": 2}, "'global-max' takes no stride, padding"),
        ({"kind": "adaptive-avg", "padding": 1}, "'adaptive-avg' takes no stride, padding"),
        ({"kind": "adaptive-avg", "size": 0}, "output_size must be at least 1, got 0"),
        ({"size": 0}, "the window must be at least 1, got 0,0"),
        ({"size": (1, 2, 3, 4)}, "size takes N, H,W or D,H,W, got 4 numbers"),
        ({"stride": ()}, "stride takes N, H,W or D,H,W, got 0 numbers"),
        ({"stride": 0}, "the stride must be at least 1, got 0,0"),
        ({"dilation": 0}, "the dilation must be at least 1, got 0,0"),
        ({"padding": 2}, "got 2 for a window of 2, use at most 1"),
        ({"size": (2, 2, 2), "return_indices": True}, "with a window of 2 channels there are none"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        pool(np.zeros((6, 7, 3)), **options)


def test_unknown_kind():
    with pytest.raises(NameNotFound, match="unknown kind of pooling 'mx'; did you mean 'max'"):
        pool(np.zeros((6, 7)), "mx")


def test_pictures_that_do_not_fit():
    message = (
        "a pooling window of 5 x 7 does not fit a picture of 4 x 9; "
        "use a smaller size or more padding"
    )
    with pytest.raises(ShapeError, match=message):
        pool(np.zeros((4, 9)), size=(3, 4), dilation=2)
    with pytest.raises(ShapeError, match="a window of 2 channels does not fit a picture of 1"):
        pool(np.zeros((4, 9)), size=(2, 2, 2))
    with pytest.raises(ShapeError, match="see nothing but padding, so they have no max"):
        pool(np.zeros((1, 3)), size=(2, 1), stride=1, padding=(1, 0), dilation=(2, 1))
    for image in (np.zeros(3), np.zeros((0, 3)), np.zeros((2, 2, 2, 2))):
        with pytest.raises(ShapeError, match=r"a picture is \(H, W\) or \(H, W, C\) and not empty"):
            pool(image)


def test_positions_that_do_not_belong():
    values, indices = pool(A, return_indices=True)
    with pytest.raises(ShapeError, match="a picture of 3 x 3 does not fit positions of 3 x 2"):
        unpool(values, indices[:, :2], (6, 6))
    with pytest.raises(InputError, match="positions must be whole numbers, got float64"):
        unpool(values, indices.astype(float), (6, 6))
    with pytest.raises(InputError, match="between 0 and 29 for an original of 5 x 6; found 34"):
        unpool(values, indices, (5, 6))
    with pytest.raises(InputError, match="found -1"):
        unpool(values, indices - 3, (6, 6))
    with pytest.raises(ShapeError, match="not empty"):
        unpool(np.zeros((0, 2)), np.zeros((0, 2), dtype=int), (4, 4))


def test_the_result_names_its_parts():
    result = pool(A, return_indices=True)
    assert isinstance(result, Pooled)
    assert result.values.shape == result.indices.shape == (3, 3)
