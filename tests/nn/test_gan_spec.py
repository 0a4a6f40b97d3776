"""The language of adversarial networks, and the networks that fit data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import CnntoolError, SpecError
from cnntool.nn.gan_spec import (
    CONDITIONS,
    MOST_NUMBERS,
    MOST_STAGES,
    GanSpec,
    Stage,
    context_maps,
    hole,
    is_gan,
    pairs,
    parse_gan,
)
from cnntool.nn.tokens import MAX_TEXT

STAGE = "stage 4x6\ngenerator dense 24 | reshape 1x4x6\ndiscriminator flatten | dense 1"
TEXT = f"latent 5\n{STAGE}"
TWO = """
# mine
latent 3   # numbers
condition class
embed 2

stage 4x6
generator
  dense 24
  reshape 1x4x6  # a picture
discriminator flatten | dense 4
stage 7x12 adds
discriminator flatten | dense 4
generator conv 1 3 pad=1
"""


def test_what_it_says():
    found = parse_gan(TWO)
    assert found == GanSpec(
        TWO, 3, "class", 2,
        (
            Stage((4, 6), False, "  dense 24\n  reshape 1x4x6", "flatten | dense 4"),
            Stage((7, 12), True, "conv 1 3 pad=1", "flatten | dense 4"),
        ),
    )  # fmt: skip
    assert not found.of_pictures
    assert parse_gan(TEXT).condition == "none"


def test_networks_that_fit():
    first, second = pairs(parse_gan(TWO), (1, 7, 12), 3)
    assert first.input == (3 + 2,)
    assert first.judged == (1, 4, 6)
    assert first.context == 0
    assert second.input == (1 + 1 + 2, 7, 12)
    assert second.judged == (2, 7, 12)
    assert second.context == 1
    (one,) = pairs(parse_gan(TEXT), (1, 4, 6), 0)
    assert one.input == (5,)
    text = (
        "latent 2\ncondition colorize\nstage 4x6\ngenerator conv 3 1\n"
        "discriminator flatten | dense 1"
    )
    (painter,) = pairs(parse_gan(text), (3, 4, 6), 0)
    assert painter.input == (1 + 2, 4, 6)
    assert painter.judged == (3 + 1, 4, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 stages; there must be 1 to 8"),
        ("latent 5", "0 stages"),
        ("dense 3", "line 1: 'dense 3' stands under no heading; such are latent, condition"),
        ("latent x", "line 1: 'latent' takes a number from 0 to 10000, not 'x'"),
        (f"latent {MOST_NUMBERS + 1}", "takes a number from 0 to 10000, not '10001'"),
        ("latent -1", "not '-1'"),
        ("latent 1\nlatent 2", "line 2: 'latent' stands once, before the first stage"),
        (f"{TEXT}\nlatent 2", "line 5: 'latent' stands once, before the first stage"),
        ("condition words", "line 1: 'words' is no condition; such are none, class, vector"),
        ("stage 4", "line 1: 'stage' takes rows and columns such as 28x28, and 'adds' or nothing"),
        ("stage 0x4", "got '0x4'"),
        ("stage 4x4 plus", "got '4x4 plus'"),
        ("generator dense 3", "line 1: 'generator' stands once in every stage, below it"),
        (f"{TEXT}\ngenerator dense 3", "line 5: 'generator' stands once in every stage"),
        ("latent 1\nstage 4x6\ngenerator dense 3", "stage 1 has no discriminator"),
        (TEXT.replace("latent 5", "latent 5\nembed 3"), "'embed' turns a class or vector into"),
        (STAGE, "a generator without random numbers makes one picture; say 'latent 64'"),
        (f"latent 1\ncondition superres\n{STAGE}\n{STAGE}", "superres takes a single stage"),
        (TEXT.replace("4x6\n", "4x6 adds\n", 1), "the first stage has no picture to add to"),
        ("latent 1\n" + f"{STAGE}\n" * (MOST_STAGES + 1), "9 stages; there must be 1 to 8"),
        (f"{TEXT}\n{STAGE}", "stage 1 makes pictures of 4×6; half of the next one's, rounded up, "
         "are 2×3"),
        ("x" * (MAX_TEXT + 1), f"{MAX_TEXT + 1} characters; a specification has at most"),
    ],
)  # fmt: skip
def test_texts_that_say_nothing(text, message):
    with pytest.raises(SpecError) as caught:
        parse_gan(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shape", "width", "message"),
    [
        (TEXT, (1, 8, 6), 0, "the last stage makes pictures of 4×6, those of the data are 8×6; "
         "bring them to that with --size"),
        (TEXT, (3, 4, 6), 0, "generator: from 5 numbers it makes 1×4×6; needed: 3×4×6"),
        (TEXT.replace("dense 1", "dense 2"), (1, 4, 6), 0,
         "discriminator: from 1×4×6 it makes 2 numbers; needed: 1 number"),
        (TWO.replace("conv 1 3", "conv 2 3"), (1, 7, 12), 3, "stage 2, generator: from 4×7×12 it"),
        (TWO, (1, 7, 12), 5, "stage 1, discriminator: from 1×4×6 it makes 4 numbers; needed: 6 "),
        (TEXT.replace("\ndiscriminator", " | sigmoid\ndiscriminator"), (1, 4, 6), 0,
         "generator: it ends in sigmoid, which makes 0 to 1; samples are -1 to 1, so take tanh"),
        (TEXT.replace("dense 24", "dnse 24"), (1, 4, 6), 0, "generator: unknown layer 'dnse'"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit(text, shape, width, message):
    with pytest.raises(SpecError) as caught:
        pairs(parse_gan(text), shape, width)
    assert message in str(caught.value)


def test_what_is_meant_as_one():
    assert is_gan(TEXT)
    assert is_gan("\n# c\n  stage 4x4")
    assert not is_gan("dense 10 | relu")
    assert not is_gan("")
    assert not is_gan("latents 4")


@given(st.text(max_size=200) | st.lists(st.sampled_from(
    [*TWO.splitlines(), "latent 9999999", "stage 4x6 adds", "embed"])).map("\n".join))  # fmt: skip
def test_any_text(text):
    """Is read, or refused in one kind of words."""
    try:
        found = parse_gan(text)
    except CnntoolError as error:
        assert isinstance(error, SpecError)
        return
    assert 1 <= len(found.stages) <= MOST_STAGES
    assert found.condition in CONDITIONS


@pytest.mark.parametrize(("height", "width"), [(28, 28), (8, 12), (7, 5), (32, 9)])
def test_a_hole_is_the_middle(height, width):
    rows, columns = hole(height, width)
    assert rows.start == height - rows.stop
    assert columns.start == width - columns.stop
    assert (rows.stop - rows.start) * 2 >= height


def test_maps_of_conditions():
    assert [context_maps(c, 3) for c in ("superres", "colorize", "inpaint")] == [3, 1, 3]
