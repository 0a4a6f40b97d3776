import numpy as np
import pytest

from cnntool.errors import NameNotFound
from cnntool.filters.levels import Levels
from cnntool.filters.ranges import fit_floats

MODES = ("clip", "abs", "offset", "rescale")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype, full", [(np.uint8, 255.0), (np.uint16, 65535.0)])
def test_rounds_to_what_integers_get(xp, rng, mode, dtype, full):
    values = (rng.normal(0.2, 0.6, (31, 17, 3)) * full).astype(np.float32)
    fitted = fit_floats(xp.to_device(values), mode, full)
    assert fitted.dtype == np.float32
    fitted = xp.to_host(fitted)
    assert fitted.min() >= 0 and fitted.max() <= full
    samples = Levels(dtype, mode).of(values)
    assert np.abs(np.rint(fitted) - samples).max() <= 1
    assert (np.rint(fitted) == samples).mean() > 0.99


@pytest.mark.parametrize("mode", ["auto", "raw"])
def test_raw_values_stay(mode):
    values = np.array([-3.5, 999.0])
    assert fit_floats(values, mode) is values


def test_flat_pictures_rescale_to_black():
    assert fit_floats(np.full((2, 3), 7.0), "rescale").tolist() == [[0.0] * 3] * 2


def test_rescale_leaves_out_what_is_not_finite():
    found = fit_floats(np.array([np.nan, -1.0, 1.0, np.inf]), "rescale", 10)
    assert found[1:].tolist() == [0.0, 10.0, 10.0] and np.isnan(found[0])


def test_input_is_not_changed():
    values = np.array([-3.5, 999.0], np.float32)
    for mode in MODES:
        assert fit_floats(values, mode).dtype == np.float32
    assert values.tolist() == [-3.5, 999.0]


def test_unknown_mode():
    with pytest.raises(NameNotFound, match="unknown range 'clipped'; did you mean 'clip'"):
        fit_floats(np.zeros(2), "clipped")
