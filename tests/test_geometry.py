"""Window arithmetic against windows that are counted one by one."""

import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import (
    Reach,
    conv_output_size,
    deconv_output_size,
    deconv_same_padding,
    extent,
    four_sides,
    full_padding,
    pair,
    pool_output_size,
    same_padding,
)

small = st.integers(1, 6)


@settings(deadline=None, max_examples=400)
@given(st.integers(1, 20), small, small, st.integers(0, 4), st.integers(0, 4), small)
def test_convolution_counts_the_windows_that_fit(size, kernel, stride, before, after, dilation):
    reach = dilation * (kernel - 1) + 1
    starts = range(-before, size + after - reach + 1, stride)
    if len(starts) == 0:
        with pytest.raises(ShapeError, match=f"a window of {reach} does not fit an input of"):
            conv_output_size(size, kernel, stride, before, after, dilation)
    else:
        found = conv_output_size(size, kernel, stride, before, after, dilation)
        assert found == len(starts)


@settings(deadline=None, max_examples=600)
@given(st.integers(1, 20), small, small, st.integers(0, 4), small, st.booleans())
def test_pooling_counts_the_windows_of_torch(size, kernel, stride, padding, dilation, ceil_mode):
    padding = min(padding, extent(kernel, dilation) // 2)
    starts = reference.window_starts(size, kernel, stride, padding, dilation, ceil_mode)
    if starts:
        found = pool_output_size(size, kernel, stride, padding, dilation, ceil_mode)
        assert found == len(starts)
    else:
        with pytest.raises(ShapeError, match="does not fit an input of"):
            pool_output_size(size, kernel, stride, padding, dilation, ceil_mode)


def torch_documentation(size, kernel, stride, padding, dilation, ceil_mode):
    """The formula that torch documents, with its rule for windows in the right padding."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    out = room // stride + 1
    if ceil_mode:
        out = (room + stride - 1) // stride + 1
        if (out - 1) * stride >= size + padding:
            out -= 1
    return out


@settings(deadline=None, max_examples=400)
@given(st.integers(1, 20), small, small, st.integers(0, 4), small, st.booleans())
def test_pooling_follows_the_documented_formula(size, kernel, stride, padding, dilation, ceil_mode):
    padding = min(padding, extent(kernel, dilation) // 2)
    expected = torch_documentation(size, kernel, stride, padding, dilation, ceil_mode)
    if expected >= 1:
        found = pool_output_size(size, kernel, stride, padding, dilation, ceil_mode)
        assert found == expected


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "expected"),
    [
        (7, 2, 2, 0, (3, 4)),  # one column is left over
        (6, 2, 2, 1, (4, 4)),  # a fifth window would start in the right padding
        (5, 3, 2, 1, (3, 3)),
        (6, 3, 2, 1, (3, 4)),
        (2, 3, 2, 0, (None, 1)),  # the only window overhangs
        (1, 5, 2, 0, (None, None)),
    ],
)
def test_ceil_mode_by_hand(size, kernel, stride, padding, expected):
    for ceil_mode, wanted in zip((False, True), expected, strict=True):
        if wanted is None:
            with pytest.raises(ShapeError, match="does not fit"):
                pool_output_size(size, kernel, stride, padding, ceil_mode=ceil_mode)
        else:
            assert pool_output_size(size, kernel, stride, padding, ceil_mode=ceil_mode) == wanted


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 30), small, small, small)
def test_same_padding_keeps_the_size(size, kernel, stride, dilation):
    before, after = same_padding(kernel, dilation, size, stride)
    assert after - before in (0, 1)
    found = conv_output_size(size, kernel, stride, before, after, dilation)
    assert found == -(-size // stride)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 30), small, small)
def test_full_padding_covers_every_overlap(size, kernel, dilation):
    before, after = full_padding(kernel, dilation)
    reach = dilation * (kernel - 1) + 1
    assert conv_output_size(size, kernel, 1, before, after, dilation) == size + reach - 1


def test_same_padding_with_a_stride_asks_for_the_size():
    with pytest.raises(OptionError, match="needs the input's size"):
        same_padding(3, stride=2)


def test_numbers_become_pairs_and_sides():
    assert pair(3) == (3, 3)
    assert pair([2, 5]) == (2, 5)
    assert four_sides(2) == (2, 2, 2, 2)
    assert four_sides((1, 2)) == (1, 2, 1, 2)
    assert four_sides((1, 2, 3, 4)) == (1, 2, 3, 4)
    with pytest.raises(OptionError, match=r"size takes one number or two .* got 3"):
        pair((1, 2, 3), "size")
    with pytest.raises(OptionError, match=r"takes N, H,W or T,R,B,L .* got 3 numbers"):
        four_sides((1, 2, 3))
    with pytest.raises(OptionError, match="padding must not be negative, got 1,-2"):
        four_sides((1, -2))


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 12), small, small, st.integers(0, 4), st.integers(0, 4), small, st.integers(0, 3)
)
def test_transposed_convolution_writes_from_the_first_to_the_last_tap(
    size, kernel, stride, before, after, dilation, more
):
    last = max(i * stride + a * dilation for i in range(size) for a in range(kernel))
    wanted = last + 1 - before - after + more
    if wanted < 1:
        with pytest.raises(ShapeError, match=r"a padding of \d.* cuts off all of an output of \d"):
            deconv_output_size(size, kernel, stride, before, after, dilation, more)
    else:
        found = deconv_output_size(size, kernel, stride, before, after, dilation, more)
        assert found == wanted


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 12), small, small, small)
def test_same_padding_of_a_transposed_convolution_multiplies_by_the_stride(
    size, kernel, stride, dilation
):
    before, after, more = deconv_same_padding(kernel, stride, dilation)
    assert after - before in (0, 1) and min(before, more) >= 0
    assert deconv_output_size(size, kernel, stride, before, after, dilation, more) == size * stride


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 20), small, small, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_pooling_may_be_padded_at_one_end_only(size, kernel, stride, before, after, ceil_mode):
    before, after = min(before, kernel // 2), min(after, kernel // 2)
    starts, end = [], size + after
    for start in range(-before, end, stride):
        # with ceil_mode a window that begins in the input may take what is left at the end
        covered = (starts[-1] if starts else start - stride) + kernel >= end
        if start + kernel <= end or (ceil_mode and start < size and not covered):
            starts.append(start)
    if starts:
        found = pool_output_size(size, kernel, stride, before, 1, ceil_mode, after)
        assert found == len(starts)
    else:
        with pytest.raises(ShapeError, match=f"a window of {kernel} does not fit an input of"):
            pool_output_size(size, kernel, stride, before, 1, ceil_mode, after)


def test_pooling_names_both_paddings():
    with pytest.raises(ShapeError, match=r"does not fit an input of 2 with padding 1 \+ 2"):
        pool_output_size(2, 6, 1, 1, after=2)


def test_reach_follows_windows():
    seen = Reach().window(3, stride=2, before=1)
    assert (seen.size, seen.jump, seen.at(4)) == (3, 2, (7, 9))
    wide = seen.window(2, dilation=3)
    assert (wide.size, wide.jump, wide.at(0)) == (9, 2, (-1, 7))
    assert seen.join(wide).at(0) == (-1, 7)
    assert seen.join(Reach()) is None
    assert Reach().blocks(3).at(4) == (3, 5)
    assert Reach().enlarge(2, linear=True).at(4) == (1, 2)
    assert Reach().enlarge(3, linear=True).at(4) == (1, 1)
    assert Reach().spread(3, stride=2, before=1).at(3) == (1, 2)
    assert Reach().shrink(7, 3).at(2) == (4, 6)
