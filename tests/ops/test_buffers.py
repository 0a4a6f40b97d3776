"""Where elementwise results go."""

import numpy as np
import pytest

from cnntool.errors import ShapeError
from cnntool.ops.buffers import as_float, bits_type, destination, flat_destination


def test_new_arrays_or_the_given_one(xp):
    like = xp.to_device(np.zeros((2, 3, 4), np.float32))
    new = destination(like, None)
    assert (new.shape, new.dtype) == ((2, 3, 4), np.float32)
    assert destination(like, new) is new
    flat = flat_destination(like.reshape(2, 12), (2, 3, 4), new)
    assert flat.shape == (2, 12)
    flat[...] = 5
    assert (xp.to_host(new) == 5).all()
    assert flat_destination(like.reshape(2, 12), (2, 3, 4), None).shape == (2, 12)


def test_arrays_that_do_not_fit():
    like = np.zeros((2, 6), np.float32)
    with pytest.raises(ShapeError, match=r"shape \(2, 6\) and type float32 .* got \(6, 2\) and"):
        destination(like, np.zeros((6, 2), np.float32))
    with pytest.raises(ShapeError, match=r"got .* and float64"):
        flat_destination(like, (2, 3, 2), np.zeros((2, 3, 2)))
    with pytest.raises(ShapeError, match="out must be one contiguous block of memory"):
        flat_destination(like, (2, 3, 2), np.zeros((2, 2, 3), np.float32).transpose(0, 2, 1))


def test_types():
    for kind, found in ((np.uint8, "f4"), (np.float32, "f4"), (np.float64, "f8")):
        assert as_float(np.zeros(3, kind)).dtype == np.dtype(found)
    x = np.zeros(3, np.float32)
    assert as_float(x) is x
    assert bits_type(x) == np.int32
    assert bits_type(x.astype(np.float64)) == np.int64
