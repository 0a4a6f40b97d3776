"""Names of measures."""

import pytest

from cnntool.errors import NameNotFound
from cnntool.predict.words import check_measure


@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1"])
def test_plain_names(name):
    assert check_measure(name) == 0


def test_top_k():
    assert check_measure("top-1") == 1
    assert check_measure("top-100") == 100


@pytest.mark.parametrize("name", ["", "top-0", "top-", "top-05", "top-x", "top-٥", "loss", "Top-5"])
def test_unknown(name):
    with pytest.raises(NameNotFound, match=f"unknown measure '{name}'"):
        check_measure(name)


def test_near_names():
    with pytest.raises(NameNotFound, match="did you mean 'accuracy'"):
        check_measure("acuracy")
