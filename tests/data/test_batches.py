"""Batches: order by seed and epoch alone, layout, any place to begin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.data.batches import Batches, order
from cnntool.data.dataset import Split
from cnntool.errors import OptionError


@pytest.fixture
def split(rng):
    images = rng.integers(0, 256, (23, 3, 4, 5), dtype=np.uint8)
    return Split(images, rng.integers(0, 7, 23))


def test_order_is_a_permutation_of_its_own_for_each_epoch():
    found = [tuple(order(50, seed, epoch)) for seed in (0, 1) for epoch in range(5)]
    assert all(sorted(numbers) == list(range(50)) for numbers in found)
    assert len(set(found)) == 10
    assert order(50, 0, 3).dtype == np.int64


def test_order_never_changes():
    """A training is continued by it, maybe with a later version."""
    sequence = np.random.SeedSequence([11, 4])
    expected = np.random.Generator(np.random.PCG64(sequence)).permutation(9)
    np.testing.assert_array_equal(order(9, 11, 4), expected)
    assert order(6, 1, 0).tolist() == [4, 0, 2, 1, 5, 3]


def test_layout(split):
    x, labels = Batches(split, 6, None).take(np.array([4, 0, 22]))
    assert x.shape == (3, 4, 5, 3) and x.dtype == np.uint8 and x.flags.c_contiguous
    assert labels.dtype == np.int64
    for place, number in enumerate((4, 0, 22)):
        np.testing.assert_array_equal(x[..., place], split.images[number])
        assert labels[place] == split.labels[number]


@pytest.mark.parametrize(("keep", "sizes"), [(True, [10, 10, 3]), (False, [10, 10])])
def test_an_epoch_shows_every_picture_once(split, keep, sizes):
    batches = Batches(split, 10, 5, keep_last=keep)
    found = list(batches.epoch(2))
    assert [x.shape[3] for x, _ in found] == sizes and len(batches) == len(sizes)
    shown = np.concatenate([x for x, _ in found], axis=3)
    expected = split.images[order(23, 5, 2)][: sum(sizes)]
    np.testing.assert_array_equal(np.moveaxis(shown, 3, 0), expected)
    labels = np.concatenate([labels for _, labels in found])
    np.testing.assert_array_equal(labels, split.labels[order(23, 5, 2)][: sum(sizes)])


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 40), st.integers(0, 5))
def test_an_epoch_can_begin_anywhere(count, size, start, epoch):
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    batches = Batches(Split(images, np.arange(count)), size, 3)
    start = min(start, len(batches))
    whole = [labels.tolist() for _, labels in batches.epoch(epoch)]
    assert [labels.tolist() for _, labels in batches.epoch(epoch, start)] == whole[start:]
    assert [n for numbers in whole for n in numbers] == order(count, 3, epoch).tolist()


def test_batches_are_new_arrays(split):
    batches = Batches(split, 4, 0)
    before = split.images.copy()
    for x, labels in batches.epoch(0):
        x[:] = 0
        labels[:] = 0
    np.testing.assert_array_equal(split.images, before)
    assert split.labels.any()


def test_no_order(split):
    _, labels = next(Batches(split, 23, None).epoch(9))
    np.testing.assert_array_equal(labels, split.labels)


def test_masks_come_with_the_batch_last(rng):
    masks = rng.integers(0, 9, (6, 4, 5), dtype=np.uint8)
    split = Split(rng.integers(0, 9, (6, 1, 4, 5), dtype=np.uint8), masks)
    _, labels = Batches(split, 3, None).take(np.array([5, 1, 2]))
    assert labels.shape == (4, 5, 3) and labels.flags.c_contiguous
    np.testing.assert_array_equal(labels[..., 1], masks[1])


def test_pictures_that_are_not_contiguous(rng):
    images = rng.integers(0, 9, (6, 4, 5, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
    x, _ = Batches(Split(images, np.arange(6)), 6, None).take(np.arange(6))
    np.testing.assert_array_equal(np.moveaxis(x, 3, 0), images)


def test_senseless_sizes(split):
    with pytest.raises(OptionError, match="a batch of 0 pictures; at least 1 is needed"):
        Batches(split, 0)
    with pytest.raises(OptionError, match="a batch of 24 pictures is more than the 23"):
        Batches(split, 24, keep_last=False)
    assert len(Batches(split, 24)) == 1
