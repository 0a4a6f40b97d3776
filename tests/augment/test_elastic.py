"""Fields of moves: splines as SciPy has them, of the size asked for, smooth, any rows alone."""

import numpy as np
import pytest
import scipy.interpolate

from cnntool.augment import parse
from cnntool.augment.chance import Chance
from cnntool.augment.draws import draw
from cnntool.augment.elastic import Field, _splines


def field(text, size=(20, 27), count=6, xp=np, seed=2):
    chance = Chance(xp, count, seed=seed, step=4)
    (drawn,) = draw(parse(text), chance, size)
    return Field(drawn, chance, size)


@pytest.mark.parametrize("spacing", [1.0, 2.5, 7.0, 40.0])
def test_splines_are_cubic(spacing):
    first, shares = _splines(np, 23, spacing)
    shares = np.stack(shares)
    np.testing.assert_allclose((shares**2).sum(axis=0), 1, rtol=1e-5)
    plain = shares / shares.sum(axis=0)  # B-splines sum to 1
    for i in range(23):
        place = i / spacing
        for number in range(4):
            knots = np.arange(-2, 3) + first[i] + number - 1
            spline = scipy.interpolate.BSpline.basis_element(knots, extrapolate=False)
            expected = np.nan_to_num(spline(place))
            assert plain[number, i] == pytest.approx(expected, abs=1e-5)


def test_moves_have_the_deviation_asked_for():
    rows = np.stack(field("elastic 3px 4px", (40, 50), 60).rows(slice(0, 40)))
    assert rows.shape == (2, 40, 50, 60)
    assert abs(rows.mean()) < 0.15
    # the same everywhere, on points of the grid and between them
    deviation = rows.std(axis=(0, 3))
    assert abs(deviation.mean() - 3) < 0.1
    assert np.abs(deviation - 3).max() < 1.2
    share = np.stack(field("elastic 0.1 0.1", (40, 50), 60).rows(slice(0, 40)))
    assert abs(share.std() - 4) < 0.2


def test_moves_are_smooth():
    rows = np.stack(field("elastic 3px 10px", (40, 50), 40).rows(slice(0, 40)))
    steps = np.abs(np.diff(rows, axis=2)).mean() / np.abs(rows).mean()
    assert steps < 0.15
    # far apart they don't depend on each other
    far = np.corrcoef(rows[:, 0, 0].ravel(), rows[:, 0, 45].ravel())[0, 1]
    assert abs(far) < 0.4
    near = np.corrcoef(rows[:, 0, 0].ravel(), rows[:, 0, 2].ravel())[0, 1]
    assert near > 0.95


def test_any_rows_of_any_part(xp):
    whole = np.stack(field("elastic 0.1").rows(slice(0, 20)))
    with xp.no_transfers():
        made = field("elastic 0.1", xp=xp.xp)
        some = made.rows(slice(7, 12))
    for one, other in zip(some, whole, strict=True):
        np.testing.assert_allclose(xp.to_host(one), other[7:12], atol=1e-5)


def test_grid_finer_than_pixels():
    rows = field("elastic 1px 0.02", (9, 12)).rows(slice(0, 9))
    assert np.isfinite(np.stack(rows)).all()


def test_one_pixel():
    assert np.stack(field("elastic 1px 3px", (1, 1)).rows(slice(0, 1))).shape == (2, 1, 1, 6)
