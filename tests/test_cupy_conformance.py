"""Does the stand-in for CuPy behave as the real package did when it was recorded?

The recording needs no GPU: a real cupy.ndarray is laid over memory of the host, and an operation
that gets as far as the driver counts as one that works.
"""

import importlib.util
import pathlib

import pytest
from device_double import DeviceArray, expressions, fake
from device_double.surface import SURFACE

REFUSED_BEFORE_THE_DEVICE = {  # CuPy asks the device first, then refuses the host's array
    "a + h",
    "h + a",
    "a - h",
    "a * h",
    "a / h",
    "a < h",
    "a == h",
    "a + [1, 2, 3, 4]",
    "xp.add(a, h)",
    "xp.maximum(a, 0, out=h)",
    "xp.concatenate([a, h])",
    "np.concatenate([a, h])",
    "np.add.at(a, ([0], [0]), 1.0)",
}
STRICTER = {  # CuPy computes on the host or uploads silently
    "xp.sum(h)",
    "xp.mean(h)",
    "xp.einsum('ij,ij->i', a, h)",
}
OTHER_CLASS = {  # TypeError here, ValueError there
    "a.fill(h)",
    "xp.split(h, 2)",
}


def own_outcome(expression):
    return expressions.outcome(
        expression, fake, fake.asarray(expressions.HOST), fake.asarray(expressions.SCALAR)
    )


@pytest.mark.parametrize("expression", expressions.EXPRESSIONS)
def test_outcome_is_that_of_the_real_package(expression):
    recorded, own = SURFACE["outcomes"][expression], own_outcome(expression)
    if expression in REFUSED_BEFORE_THE_DEVICE:
        assert (recorded, own) == ("device", "TypeError")
    elif expression in STRICTER:
        assert recorded in ("ok", "device") and own == "TypeError"
    elif expression in OTHER_CLASS:
        assert (recorded, own) == ("ValueError", "TypeError")
    else:
        assert own == ("ok" if recorded == "device" else recorded)


def test_recorded_surface_is_that_of_the_installed_package():
    pytest.importorskip("cupy", reason="needs the CuPy package, not a GPU")
    script = pathlib.Path(__file__).parent / "golden" / "capture_cupy_surface.py"
    spec = importlib.util.spec_from_file_location("capture_cupy_surface", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    captured = module.capture()
    if captured["cupy"] != SURFACE["cupy"]:
        pytest.skip(f"recorded from CuPy {SURFACE['cupy']}, installed is {captured['cupy']}")
    if captured["outcomes"] is None:  # a GPU works here
        captured["outcomes"] = SURFACE["outcomes"]
    for section in SURFACE.keys() - {"numpy"}:
        assert captured[section] == SURFACE[section], section


def test_operators_are_those_of_the_real_package():
    own = {
        name
        for name in vars(DeviceArray)
        if name.startswith("__") and callable(getattr(DeviceArray, name))
    }
    added_by_python = {"__init__", "__new__", "__hash__", "__getattr__"}
    assert own - added_by_python <= set(SURFACE["ndarray_dunders"])
