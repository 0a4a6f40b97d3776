"""Receptive fields against sets of pixels that are carried through the layers one by one."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import SpecError
from cnntool.geometry import LONGEST_PERIOD, Reach
from cnntool.nn import parse, trace

# --- one axis, position by position: every position holds the set of pixels it depends on ---


def at(sets, position):
    return sets[position] if 0 <= position < len(sets) else frozenset()


def union(sets):
    return frozenset().union(*sets)


def slide(sets, kernel, stride, before, after, dilation):
    reach = dilation * (kernel - 1) + 1
    starts = range(-before, len(sets) + after - reach + 1, stride)
    return [union(at(sets, start + tap * dilation) for tap in range(kernel)) for start in starts]


def spread(sets, kernel, stride, before, after):
    size = (len(sets) - 1) * stride - before - after + kernel
    found = [frozenset()] * size
    for position, pixels in enumerate(sets):
        for tap in range(kernel):
            place = position * stride - before + tap
            if 0 <= place < size:
                found[place] |= pixels
    return found


def enlarge(sets, factor, mode):
    if mode == "nearest":
        return [sets[position // factor] for position in range(len(sets) * factor)]
    found = []
    for position in range(len(sets) * factor):
        centre = (Fraction(2 * position + 1, 2)) / factor - Fraction(1, 2)
        found.append(at(sets, floor(centre)) | at(sets, ceil(centre)))
    return found


def shrink(sets, out):
    size = len(sets)
    bounds = [
        (floor(Fraction(i * size, out)), ceil(Fraction((i + 1) * size, out))) for i in range(out)
    ]
    return [union(sets[first:last]) for first, last in bounds]


def pooled(sets, kernel, body):
    small = slide(sets, kernel, kernel, 0, 0, 1)
    inside = body(small)
    found = []
    for position in range(len(sets)):
        block = position // kernel
        window = union(sets[block * kernel : (block + 1) * kernel])
        found.append(inside[block] | window if block < len(small) else frozenset())
    return found


# --- layers: text, and what they do along rows and along columns ---

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 2), st.integers(1, 3))
sides = st.tuples(*[st.integers(0, 2)] * 4)


@st.composite
def convolutions(draw):
    (kh, kw), (sy, sx), (dy, dx) = (
        draw(pairs),
        draw(strides),
        draw(st.sampled_from([(1, 1), (2, 1)])),
    )
    top, right, bottom, left = draw(sides)
    word = draw(st.sampled_from(["conv 1", "local 1", "separable 1", "depthwise", "deform 1"]))
    text = f"{word} {kh}x{kw} {sy}x{sx} pad={top}:{right}:{bottom}:{left} dilation={dy}x{dx}"
    return (
        text,
        lambda sets: slide(sets, kh, sy, top, bottom, dy),
        lambda sets: slide(sets, kw, sx, left, right, dx),
    )


@st.composite
def pools(draw):
    (kh, kw), (sy, sx) = draw(pairs), draw(strides)
    word = draw(st.sampled_from(["maxpool", "avgpool", "sumpool"]))
    return (
        f"{word} {kh}x{kw} {sy}x{sx} pad={kh // 2}x{kw // 2}",
        lambda sets: slide(sets, kh, sy, kh // 2, kh // 2, 1),
        lambda sets: slide(sets, kw, sx, kw // 2, kw // 2, 1),
    )


@st.composite
def deconvolutions(draw):
    (kh, kw), (sy, sx), (top, right, bottom, left) = draw(pairs), draw(strides), draw(sides)
    return (
        f"deconv 1 {kh}x{kw} {sy}x{sx} pad={top}:{right}:{bottom}:{left}",
        lambda sets: spread(sets, kh, sy, top, bottom),
        lambda sets: spread(sets, kw, sx, left, right),
    )


@st.composite
def upsamplings(draw):
    (fy, fx), mode = draw(strides), draw(st.sampled_from(["nearest", "bilinear"]))
    return (
        f"upsample {fy}x{fx} mode={mode}",
        lambda sets: enlarge(sets, fy, mode),
        lambda sets: enlarge(sets, fx, mode),
    )


@st.composite
def frames(draw):
    top, right, bottom, left = draw(sides)
    return (
        f"pad {top}:{right}:{bottom}:{left}",
        lambda sets: slide(sets, 1, 1, top, bottom, 1),
        lambda sets: slide(sets, 1, 1, left, right, 1),
    )


@st.composite
def sums(draw):
    (kh, kw) = draw(pairs)
    up, left = (kh - 1) // 2, (kw - 1) // 2

    def along(kernel, before):
        def both(sets):
            main = slide(sets, kernel, 1, before, kernel - 1 - before, 1)
            return [a | b for a, b in zip(main, sets, strict=True)]

        return both

    form = draw(st.sampled_from(["residual({})", "concat({}, relu)", "skip({} | tanh)"]))
    return form.format(f"conv 1 {kh}x{kw} pad=same"), along(kh, up), along(kw, left)


@st.composite
def unpoolings(draw):
    ky, kx = draw(st.tuples(st.integers(1, 3), st.integers(2, 3)))

    def body(sets):
        return slide(sets, 3, 1, 1, 1, 1)

    return (
        f"pooled {ky}x{kx} (depthwise 3 pad=1)",
        lambda sets: pooled(sets, ky, body),
        lambda sets: pooled(sets, kx, body),
    )


layers = st.one_of(
    convolutions(), pools(), deconvolutions(), upsamplings(), frames(), sums(), unpoolings()
)


@settings(max_examples=150)
@given(st.lists(layers, min_size=1, max_size=4))
def test_positions_see_the_pixels_that_reach_them(chosen):
    size = (150, 131)
    text = " | ".join(layer[0] for layer in chosen)
    try:
        found = trace(parse(text), (1, *size))
    except SpecError:  # strides and valid windows used the picture up
        return
    row = found.rows[-1]
    for axis, reach in enumerate((row.field.rows, row.field.columns)):
        sets = [frozenset([pixel]) for pixel in range(size[axis])]
        for layer in chosen:
            sets = layer[1 + axis](sets)
        assert len(sets) == row.output[1 + axis]
        spans = {}
        for position, pixels in enumerate(sets):
            first, last = reach.at(position)
            # far from the borders nothing is cut off
            if first >= size[axis] // 4 and last <= 3 * size[axis] // 4:
                spans[position] = max(pixels) - min(pixels) + 1 if pixels else 0
                if pixels:
                    assert (first, last) == (min(pixels), max(pixels)), (text, axis, position)
        # a stride can pick just the positions that a deconvolution leaves empty: those see nothing
        if len(spans) >= len(reach.first) and any(spans.values()):
            assert row.receptive_field[axis] == max(spans.values())


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 3))
def test_adaptive_windows_see_their_share(size, out, kernel):
    found = trace(parse(f"conv 1 {kernel}x1 | adaptiveavgpool {out}x1"), (1, size + kernel - 1, 1))
    sets = slide([frozenset([p]) for p in range(size + kernel - 1)], kernel, 1, 0, 0, 1)
    for position, pixels in enumerate(shrink(sets, out)):
        assert found.rows[-1].field.rows.at(position) == (min(pixels), max(pixels))
    assert found.rows[-1].jump == (Fraction(size, out), 1)


# --- worked examples ---


def field(text, shape=(1, 64, 64)):
    row = trace(parse(text), shape).rows[-1]
    return row.receptive_field, None if row.jump is None else tuple(map(float, row.jump))


@pytest.mark.parametrize(
    ("text", "size", "jump"),
    [
        ("conv 1 3", (3, 3), (1, 1)),
        ("conv 1 3 | conv 1 3", (5, 5), (1, 1)),
        ("(conv 1 3)*3", (7, 7), (1, 1)),
        ("conv 1 3x5 2x1 | relu | conv 1 3", (7, 7), (2, 1)),
        ("conv 1 3 dilation=2 | conv 1 3 dilation=4", (13, 13), (1, 1)),
        ("maxpool 2 | upsample 2", (2, 2), (1, 1)),
        ("upsample 2 | conv 1 3", (2, 2), (0.5, 0.5)),
        ("upsample 4 mode=bilinear", (2, 2), (0.25, 0.25)),
        ("deconv 1 2 2", (1, 1), (0.5, 0.5)),
        ("deconv 1 3 2", (2, 2), (0.5, 0.5)),
        ("globalavgpool", (64, 64), (64, 64)),
        ("avgpool 64", (64, 64), (64, 64)),
        ("conv 1 3 | globalmaxpool", (64, 64), (62, 62)),
        ("flatten", (1, 1), None),
        ("conv 1 3 | flatten | relu", (3, 3), None),
        ("conv 1 5 | flatten | dense 3", (64, 64), None),
        ("flatten | dense 64 | reshape 1x8x8 | conv 1 3", (64, 64), None),
        ("reshape 64x8x8", (64, 64), None),
        ("reshape 1x64x64 | conv 1 3", (3, 3), (1, 1)),
    ],
)
def test_by_hand(text, size, jump):
    assert field(text) == (size, jump)


def test_fields_are_not_cut_off_at_the_picture():
    assert field("conv 1 9 pad=4", (1, 3, 4)) == ((9, 9), (1, 1))


def test_a_vector_is_seen_whole_from_a_dense_layer_on():
    assert field("dense 4 | relu", (10,)) == ((1, 1), None)


def test_branches_that_drift_apart_see_everything():
    together = "concat(conv 1 1 2, upsample 2 | maxpool 1 4, adaptiveavgpool 32)"
    assert field(together) == ((2, 2), (2, 2))
    drifting = "concat(conv 1 1 2, conv 1 33)"
    assert field(drifting) == ((64, 64), None)


def test_boxes_tell_where_a_neuron_looks():
    row = trace(parse("conv 4 3x5 pad=1x2 | maxpool 2"), (1, 20, 22)).rows[-1]
    assert row.field.box(0, 0) == (-1, -2, 3, 4)
    assert row.field.box(3, 5) == (5, 8, 9, 14)
    whole = trace(parse("flatten | dense 2"), (1, 20, 22)).rows[-1]
    assert whole.field.box(0, 0) == (0, 0, 20, 22)


def test_patterns_that_repeat_too_late_count_as_whole():
    factor = LONGEST_PERIOD
    assert field(f"upsample {factor}", (1, 3, 3))[0] == (1, 1)
    assert field(f"upsample {2 * factor}", (1, 3, 3)) == ((3, 3), None)
    assert Reach().enlarge(factor).join(Reach((0,) * 3, (0,) * 3, 3)) is None
