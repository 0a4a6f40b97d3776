"""Taps, counts and strips of windows against positions that are listed one by one."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.ops import windows
from cnntool.ops.windows import WindowAxis, fold_axis, parts, spread_axis, window_axes


@st.composite
def axes(draw):
    kernel, stride, dilation = (draw(st.integers(1, 4)) for _ in range(3))
    reach = dilation * (kernel - 1) + 1
    padding = draw(st.integers(0, reach // 2))
    size = draw(st.integers(max(1, reach - 2 * padding), reach + 8))
    starts = reference.window_starts(size, kernel, stride, padding, dilation, draw(st.booleans()))
    return WindowAxis(size, kernel, stride, padding, dilation, len(starts)), starts


def reads(axis):
    """(output, input) pairs in the order of the taps."""
    found = []
    for number, outputs, inputs in axis.taps():
        out, inside = range(axis.out)[outputs], range(axis.size)[inputs]
        found += [(number, o, i) for o, i in zip(out, inside, strict=True)]
    return sorted(found)


@settings(deadline=None, max_examples=200)
@given(axes())
def test_taps_read_every_input_of_every_window(case):
    axis, starts = case
    expected = [
        (number, o, place)
        for o, start in enumerate(starts)
        for number, place in enumerate(reference.window_taps(start, axis.kernel, axis.dilation))
        if 0 <= place < axis.size
    ]
    assert reads(axis) == sorted(expected)
    seen = [place for _, _, place in expected]
    if len(seen) > len(set(seen)):
        assert axis.overlapping
    assert axis.sees_input() == (len({o for _, o, _ in expected}) == axis.out)


@settings(deadline=None, max_examples=200)
@given(axes(), st.booleans())
def test_counts_of_pixels_with_and_without_padding(case, include_pad):
    axis, starts = case
    limit = axis.size + (axis.padding if include_pad else 0)
    least = -axis.padding if include_pad else 0
    expected = [
        sum(least <= t < limit for t in reference.window_taps(s, axis.kernel, axis.dilation))
        for s in starts
    ]
    assert [axis.count(o, include_pad) for o in range(axis.out)] == expected
    counts = axis.counts(np, include_pad)
    assert np.broadcast_to(counts, axis.out).tolist() == expected


@settings(deadline=None, max_examples=200)
@given(axes(), st.data())
def test_parts_read_what_the_whole_reads(case, data):
    axis, _ = case
    first = data.draw(st.integers(0, axis.out - 1))
    last = data.draw(st.integers(first + 1, axis.out))
    part, inputs = axis.part(first, last)
    shifted = [(n, o + first, i + inputs.start) for n, o, i in reads(part)]
    assert sorted(shifted) == [r for r in reads(axis) if first <= r[1] < last]


@settings(deadline=None, max_examples=60)
@given(axes(), st.integers(0, 3))
def test_folding_and_spreading_are_transposes(case, number):
    axis, _ = case
    rng = np.random.default_rng(5)
    shape = [2, 2, 2, 2]
    shape[number] = axis.size
    x = rng.standard_normal(shape)
    y = fold_axis(x, number, axis, np.add, 0.0)
    assert y.shape[number] == axis.out
    grad = rng.standard_normal(y.shape)
    back = spread_axis(grad, number, axis)
    assert back.shape == x.shape
    assert (y * grad).sum() == pytest.approx((x * back).sum())


def test_parts_cover_the_work_once(monkeypatch):
    monkeypatch.setattr(windows, "STRIP_BYTES", 200)
    x = np.zeros((2, 17, 9, 3), dtype=np.float32)
    ours = window_axes(x.shape, (3, 2), (2, 2), (1, 0))
    seen = np.zeros([axis.out for axis in ours] + [3], dtype=int)
    pieces = parts(x, ours)
    assert len(pieces) > 3
    for _, outputs, _ in pieces:
        seen[outputs] += 1
    assert (seen == 1).all()


def test_a_device_gets_the_work_in_one_piece(double):
    x = double.to_device(np.zeros((2, 170, 90, 3), dtype=np.float32))
    assert len(parts(x, window_axes(x.shape, 2, 2))) == 1
