"""The words that the command line completes are those that the library takes."""

import typing

from cnntool.filters import words
from cnntool.filters.channels import SPACES
from cnntool.filters.convolve import Normalize
from cnntool.filters.levels import MODES
from cnntool.ops.correlation import METHODS
from cnntool.ops.padding import border_mode


def test_borders_have_six_meanings():
    assert {border_mode(word) for word in words.BORDERS} == set(words.BORDERS[:6])


def test_words_are_those_of_the_library():
    assert words.METHODS == METHODS
    assert words.RANGES == MODES
    assert words.SPACES == tuple(SPACES)
    assert words.NORMALIZES == typing.get_args(Normalize)
