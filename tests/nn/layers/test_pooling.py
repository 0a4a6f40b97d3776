"""Pools: sides that differ, windows that hang over, whole maps."""

import numpy as np
import pytest
import reference_nn as loops
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.nn import parse, trace
from cnntool.nn.gradcheck import check_gradient, spaced
from cnntool.nn.layers.pooling import AvgPool, Frame, GlobalMaxPool, MaxPool, SumPool
from cnntool.nn.run import Run

KINDS = {"max": MaxPool, "avg": AvgPool, "sum": SumPool}


def made(text, shape):
    row = trace(parse(text), shape).rows[0]
    return KINDS[text[:3]](row)


@st.composite
def pools(draw):
    """(kind, text, shape of the input, arguments of the loops)."""
    small = st.integers(1, 4)
    kernel, stride = draw(st.tuples(small, small)), draw(st.tuples(small, small))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    top, bottom = (draw(st.integers(0, reach[0] // 2)) for _ in range(2))
    left, right = (draw(st.integers(0, reach[1] // 2)) for _ in range(2))
    size = (
        draw(st.integers(max(1, reach[0] - top - bottom), reach[0] + 5)),
        draw(st.integers(max(1, reach[1] - left - right), reach[1] + 5)),
    )
    depth, step = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = {
        "sides": (top, right, bottom, left),
        "dilation": dilation,
        "ceil": draw(st.booleans()),
        "depth": depth,
        "step": step,
    }
    kind = draw(st.sampled_from(sorted(KINDS)))
    text = (
        f"{kind}pool {kernel[0]}x{kernel[1]} {stride[0]}x{stride[1]} "
        f"pad={top}:{right}:{bottom}:{left} dilation={dilation[0]}x{dilation[1]} "
        f"depth={depth} dstride={step} ceil={'yes' if options['ceil'] else 'no'}"
    )
    if kind == "avg":
        options["countpad"] = draw(st.booleans())
        text += f" countpad={'yes' if options['countpad'] else 'no'}"
    return kind, text, (draw(st.integers(depth, 4)), *size), (kernel, stride), options


@settings(deadline=None, max_examples=150)
@given(pools(), st.integers(1, 3))
def test_windows_of_any_kind(case, images):
    kind, text, shape, window, options = case
    x = np.random.default_rng(3).standard_normal((*shape, images))
    layer = made(text, shape)
    wanted = loops.side_pool2d(x, kind, *window, **options)
    assert wanted.shape == (*layer.row.output, images)
    y, _ = layer.forward(x, Run(tensors={}))
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-13)
    trained, backward = layer.forward(x, Run(tensors={}, training=True))
    np.testing.assert_allclose(trained, y, rtol=1e-12, atol=1e-13)
    assert backward(np.ones_like(y)).shape == x.shape


@settings(deadline=None, max_examples=25)
@given(pools())
def test_gradients_of_any_kind(case):
    _, text, shape, _, _ = case
    rng = np.random.default_rng(4)
    layer = made(text, shape)
    x = spaced(rng, (*shape, 2))
    if not np.isfinite(layer.forward(x, Run(tensors={}))[0]).all():
        return  # a window that sees nothing but padding

    def vjp(x):
        y, backward = layer.forward(x, Run(tensors={}, training=True))
        return y, lambda grad: backward(grad.copy())

    check_gradient(vjp, x, rng=rng, directions=1)


def test_equal_sides_need_no_frame():
    assert made("maxpool 3x4 pad=1:2:1:2", (2, 5, 6)).frame is None
    assert made("maxpool 3x4 pad=1:2:1:1", (2, 5, 6)).frame is not None


def test_a_frame_holds_what_windows_reach():
    frame = Frame(size=(3, 5), start=(1, 0), reach=(4, 4))  # one row more, one column less
    x = np.arange(1.0, 16).reshape(1, 3, 5, 1)
    framed = frame.put(x, -9.0)
    assert framed[0, :, :, 0].tolist() == [
        [-9, -9, -9, -9], [1, 2, 3, 4], [6, 7, 8, 9], [11, 12, 13, 14]
    ]  # fmt: skip
    assert frame.take(framed)[0, :, :, 0].tolist() == [
        [1, 2, 3, 4, 0], [6, 7, 8, 9, 0], [11, 12, 13, 14, 0]
    ]  # fmt: skip


def test_padding_of_a_maximum_never_wins():
    layer = made("maxpool 2 pad=0:1:1:0", (1, 2, 2))
    x = np.full((1, 2, 2, 1), -5.0)
    y, backward = layer.forward(x, Run(tensors={}, training=True))
    assert y.ravel().tolist() == [-5.0]
    assert backward(np.ones_like(y)).sum() == 1


def test_counted_padding_of_a_mean():
    """A window of 2x2 at each corner of one pixel, framed by one zero above and on the left."""
    x = np.full((1, 1, 1, 1), 8.0)
    for text, wanted in (
        ("avgpool 2 pad=1:0:0:1", 2.0),
        ("avgpool 2 pad=1:0:0:1 countpad=no", 8.0),
    ):
        assert made(text, (1, 1, 1)).forward(x, Run(tensors={}))[0].ravel().tolist() == [wanted]


def test_a_window_that_sees_nothing_has_the_mean_zero():
    """Two taps three rows apart, one above and one below a map of a single row."""
    layer = made("avgpool 2x1 1 pad=1:0:2:0 dilation=3x1 countpad=no", (1, 1, 2))
    y, _ = layer.forward(np.ones((1, 1, 2, 1)), Run(tensors={}))
    assert y.ravel().tolist() == [0, 0]


def test_whole_maps_give_the_gradient_to_the_first_maximum():
    row = trace(parse("globalmaxpool"), (1, 2, 3)).rows[0]
    x = np.array([[1.0, 7, 7], [7, 0, 2]]).reshape(1, 2, 3, 1)
    y, backward = GlobalMaxPool(row).forward(x, Run(tensors={}, training=True))
    assert y.ravel().tolist() == [7]
    assert backward(y)[0, :, :, 0].tolist() == [[0, 7, 0], [0, 0, 0]]


@pytest.mark.parametrize("text", ["maxpool 2 pad=0:1:0:0", "avgpool 2 pad=0:1:0:0"])
def test_whole_numbers_are_pooled_too(text):
    x = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    y, _ = made(text, (1, 2, 3)).forward(x, Run(tensors={}))
    assert y.ravel().tolist() == ([4, 5] if text.startswith("max") else [2, 1.75])


def test_symmetric_pools_against_torch(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 6, 7, 3))
    there = torch.from_numpy(np.ascontiguousarray(x.transpose(3, 0, 1, 2)))
    for text, pool in (
        ("maxpool 3x2 2x1 pad=1 ceil=yes", torch.nn.MaxPool2d((3, 2), (2, 1), 1, ceil_mode=True)),
        ("avgpool 3x2 2x3 pad=1 ceil=yes", torch.nn.AvgPool2d((3, 2), (2, 3), 1, True)),
        (
            "avgpool 3x2 2x3 pad=1 ceil=yes countpad=no",
            torch.nn.AvgPool2d((3, 2), (2, 3), 1, True, False),
        ),
    ):
        y, _ = made(text, x.shape[:3]).forward(x, Run(tensors={}))
        np.testing.assert_allclose(y, pool(there).numpy().transpose(1, 2, 3, 0), rtol=1e-12)
