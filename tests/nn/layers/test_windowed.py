"""Convolutions of other kinds: what one is a case of another, and whose arrays are called what."""

import numpy as np
import pytest
from layer_contracts import LayerCase, Passes

from cnntool.nn import parse, trace
from cnntool.nn.layers.table import LAYER_TYPES
from cnntool.nn.run import Run

on_numpy = pytest.mark.parametrize("xp", ["numpy"], indirect=True)


def passes(text, shape, xp, rng):
    return Passes(LayerCase(text, shape, None), xp, rng)


def output(text, x, arrays):
    row = trace(parse(text), x.shape[:-1]).rows[0]
    tensors = {f"{row.name}.{name}": a for name, a in arrays.items()}
    return LAYER_TYPES[text.split()[0]](row).forward(x, Run(tensors=tensors))[0]


@on_numpy
@pytest.mark.parametrize("window", ["2x3 2x1 pad=1:0:2:1", "3x2 pad=same dilation=1x2"])
def test_unmoved_taps_are_a_convolution(window, xp, rng):
    for offsets in ("learned", "predicted"):
        text = f"deform 4 {window} groups=2 offsets={offsets}"
        ours = passes(text, (6, 5, 7), xp, rng)
        for name, a in ours.arrays.items():
            a *= not name.startswith("offset")
        kept = {name: ours.arrays[name] for name in ("weight", "bias")}
        wanted = output(f"conv 4 {window} groups=2", ours.x, kept)
        np.testing.assert_allclose(ours.predict(), wanted, rtol=1e-11, atol=1e-12)


@on_numpy
@pytest.mark.parametrize("padmode", ["zeros", "reflect", "replicate", "circular", "max"])
def test_equal_weights_everywhere_are_a_convolution(padmode, xp, rng):
    window = f"2x3 2x1 pad=1:2:0:1 padmode={padmode} dilation=2x1"
    ours = passes(f"local 4 {window}", (3, 5, 4), xp, rng)
    for name, a in ours.arrays.items():
        a[...] = a[..., :1, :1]
        assert a.shape[-2:] == ours.layer.row.output[1:], name
    kept = {name: a[..., 0, 0] for name, a in ours.arrays.items()}
    wanted = output(f"conv 4 {window}", ours.x, kept)
    np.testing.assert_allclose(ours.predict(), wanted, rtol=1e-11, atol=1e-12)


@on_numpy
def test_separable_is_depthwise_and_pointwise(xp, rng):
    ours = passes("separable 5 2x3 pad=1 padmode=circular", (3, 4, 6), xp, rng)
    deep, mixing = (
        {name: ours.arrays[f"{part}.{name}"] for name in ("weight", "bias")}
        for part in ("depthwise", "pointwise")
    )
    filtered = output("depthwise 2x3 pad=1 padmode=circular", ours.x, deep)
    np.testing.assert_array_equal(ours.predict(), output("conv 5 1", filtered, mixing))


@on_numpy
def test_depthwise_is_a_convolution_in_groups(xp, rng):
    ours = passes("depthwise 3x2 2 pad=same", (4, 5, 7), xp, rng)
    wanted = output("conv 4 3x2 2 pad=same groups=4", ours.x, ours.arrays)
    np.testing.assert_array_equal(ours.predict(), wanted)


@on_numpy
def test_deconvolution_turns_the_sizes_of_a_convolution_around(xp, rng):
    """Its matrix is the transpose of the convolution's: <conv x, y> = <x, deconv y>."""
    window = "3x2 2x3 pad=1:0:1:1"
    x, y = rng.standard_normal((3, 9, 11, 2)), None
    row = trace(parse(f"conv 4 {window} bias=no"), x.shape[:3]).rows[0]
    weight = rng.standard_normal(row.parameters[0].shape)
    forth = output(f"conv 4 {window} bias=no", x, {"weight": weight})
    y = rng.standard_normal(forth.shape)
    back = output(f"deconv 3 {window} bias=no outpad=0x0", y, {"weight": weight})
    rows, columns = back.shape[1:3]
    np.testing.assert_allclose((forth * y).sum(), (x[:, :rows, :columns] * back).sum(), rtol=1e-10)


NAMES = {
    "deconv 4 2": ("weight", "bias"),
    "depthwise 2 bias=no": ("weight",),
    "separable 4 2": (
        "depthwise.weight", "depthwise.bias", "pointwise.weight", "pointwise.bias",
    ),
    "separable 4 2 bias=no": ("depthwise.weight", "pointwise.weight"),
    "local 4 2": ("weight", "bias"),
    "deform 4 2 bias=no": ("weight", "offset.weight", "offset.bias"),
    "deform 4 2 offsets=learned": ("weight", "bias", "offset"),
}  # fmt: skip


@on_numpy
@pytest.mark.parametrize("text", NAMES)
def test_gradients_have_the_names_of_the_parameters(text, xp, rng):
    ours = passes(text, (3, 4, 5), xp, rng)
    assert tuple(ours.parameters) == NAMES[text]
    run = ours.run(training=True)
    y, backward = ours.layer.forward(ours.x, run)
    backward(np.ones_like(y))
    assert all(np.isfinite(gradient).all() for gradient in run.gradients.values())


@on_numpy
@pytest.mark.parametrize("text", ["depthwise 3", "separable 5 2x3", "deform 4 2"])
def test_threads_share_one_image(text, xp, rng):
    ours = passes(text, (3, 6, 7), xp, rng)
    image = ours.x[..., :1]
    shared, _ = ours.layer.forward(image, ours.run(threads=3))
    np.testing.assert_allclose(shared, ours.predict(image), rtol=1e-12, atol=1e-13)


def test_numbers_of_the_lecture():
    """8 maps to 16 by 3x3: 1 168 weights of a convolution, and what offsets add."""
    for offsets, count in (("learned", 1186), ("predicted", 2482)):
        assert trace(parse(f"deform 16 3 offsets={offsets}"), (8, 9, 9)).params == count
