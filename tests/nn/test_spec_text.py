"""From tree to text and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, SpecError
from cnntool.nn import format_spec, parse
from cnntool.nn.layer_values import layer
from cnntool.nn.layer_values import settings as values_of
from cnntool.nn.layer_words import LAYERS
from cnntool.nn.nodes import Chain, Concat, Pooled, Repeat, Residual, Skip
from cnntool.nn.values import (
    BadValue,
    Choice,
    Flag,
    Maps,
    Padding,
    Pair,
    Real,
    Whole,
)


# ------------------------------------------------------------------------- trees of any shape
def values(kind):
    """Values of a kind of setting."""
    if isinstance(kind, Whole):
        return st.integers(kind.low, min(kind.high, 60))
    if isinstance(kind, Real):
        return st.floats(
            kind.low,
            kind.high,
            exclude_min=kind.open_low,
            exclude_max=kind.open_high,
            allow_subnormal=False,
        ).filter(lambda number: number == 0 or number > 1e-90)
    if isinstance(kind, Pair):
        number = st.integers(kind.low, min(kind.high, 99))
        return st.one_of(number, st.tuples(number, number))
    if isinstance(kind, Padding):
        sides = st.tuples(*[st.integers(0, 5)] * 4)
        return st.one_of(sides, st.just("same")) if kind.same else sides
    if isinstance(kind, Choice):
        return st.sampled_from(kind.words)
    if isinstance(kind, Maps):
        return st.tuples(*[st.integers(1, 99)] * 3)
    assert isinstance(kind, Flag)
    return st.booleans()


@st.composite
def layers(draw):
    entry = draw(st.sampled_from(list(LAYERS.values())))
    given_values = {
        setting.name: draw(values(setting.kind))
        for setting in entry.settings
        if setting.required or draw(st.booleans())
    }
    try:
        return layer(entry.word, **given_values)
    except SpecError:  # settings that exclude each other
        required = {s.name: draw(values(s.kind)) for s in entry.settings if s.required}
        return layer(entry.word, **required)


def chains(nodes):
    return st.lists(nodes, min_size=1, max_size=3).map(lambda items: Chain(tuple(items)))


def combined(nodes):
    parts = chains(nodes)
    return st.one_of(
        st.builds(Repeat, parts, st.integers(2, 9)),
        st.builds(Residual, parts, st.none() | parts),
        st.builds(Concat, st.lists(parts, min_size=2, max_size=3).map(tuple)),
        st.builds(Skip, parts),
        st.builds(Pooled, st.tuples(st.integers(1, 9), st.integers(1, 9)), parts),
    )


trees = chains(st.recursive(layers(), combined, max_leaves=10))


@settings(max_examples=150)
@given(trees)
def test_text_of_a_tree_gives_the_tree_back(tree):
    text = format_spec(tree)
    assert "\n" not in text
    try:
        again = parse(text)
    except SpecError as error:
        assert "more than 10000 layers" in str(error)
        return
    assert again == tree
    assert format_spec(again) == text


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("Conv2d 6 5 bias=yes|( ReLU )*2 # comment", "conv 6 5 | (relu)*2"),
        ("conv out=6 kernel=5x5 stride=2x1 pad=1:1:1:1", "conv 6 5 2x1 pad=1"),
        ("conv 6 5 pad=1:2:1:2", "conv 6 5 pad=1x2"),
        ("conv 6 5 pad=0:1:1:0 groups=2", "conv 6 5 pad=0:1:1:0 groups=2"),
        ("conv 6 5 groups=2 pad=same", "conv 6 5 pad=same groups=2"),
        ("maxpool 3 3", "maxpool 3"),
        ("maxpool 3x2 3x2 ceil=yes", "maxpool 3x2 ceil=yes"),
        ("batchnorm eps=1e-5 momentum=0.10", "batchnorm"),
        ("batchnorm eps=1e-6", "batchnorm eps=1e-06"),
        ("dropout | dropout 0.25 | leakyrelu", "dropout 0.5 | dropout 0.25 | leakyrelu 0.01"),
        ("leakyrelu 1", "leakyrelu 1"),
        ("upsample 2 mode=NEAREST", "upsample 2"),
        ("reshape 4×5×6", "reshape 4x5x6"),
        ("residual(relu,tanh)*2", "(residual(relu, tanh))*2"),
        ("concat(relu|tanh,relu)", "concat(relu | tanh, relu)"),
        ("pooled 2x2 (relu)\nskip(relu)", "pooled 2 (relu) | skip(relu)"),
    ],
)
def test_one_spelling(text, spelling):
    assert format_spec(parse(text)) == spelling


# ------------------------------------------------------------------------ layers from values
def test_values_are_those_of_the_text():
    found = values_of(parse("conv 8 3x5 2 pad=same bias=no groups=4").items[0])
    assert found.whole("out") == 8
    assert found.pair("kernel") == (3, 5)
    assert found.pair("stride") == (2, 2)
    assert found.sides("pad") == "same"
    assert found.flag("bias") is False
    assert found.whole("depth") == 0
    assert found.word("padmode") == "zeros"
    assert len(found) == len(list(found)) == len(LAYERS["conv"].settings)
    assert "kernel" in repr(found)
    assert values_of(layer("lrn", size=5)).real("k") == 1.0
    assert values_of(layer("reshape", shape=(2, 3, 4))).maps("shape") == (2, 3, 4)
    assert values_of(layer("pad", pad=(1, 2))).sides("pad") == (1, 2, 1, 2)
    pool = values_of(layer("maxpool", kernel=3, depth=2))
    assert (pool.pair("stride"), pool.whole("dstride")) == ((3, 3), 2)


def test_values_of_another_kind_are_a_mistake_of_the_program():
    found = values_of(layer("conv", out=8, kernel=3))
    for read, name in [
        (found.whole, "kernel"),
        (found.real, "padmode"),
        (found.flag, "out"),
        (found.word, "out"),
        (found.pair, "pad"),
        (found.maps, "kernel"),
        (found.sides, "out"),
    ]:
        with pytest.raises(TypeError, match=name):
            read(name)


@pytest.mark.parametrize(
    ("word", "given", "message"),
    [
        ("conv", {"out": 8}, "conv needs kernel, rows and columns of the window"),
        ("conv", {"out": 8, "kernel": 0}, "conv: kernel=0 does not fit; it must be N or HxW, 1 to"),
        ("conv", {"out": True, "kernel": 3}, "conv: out=True does not fit; it must be a whole"),
        ("conv", {"out": 8, "kernel": (1, 2, 3)}, r"kernel=\(1, 2, 3\) does not fit"),
        ("conv", {"out": 8, "kernel": 3, "pad": (1, 2, 3)}, r"pad=\(1, 2, 3\) does not fit"),
        ("conv", {"out": 8, "kernel": 3, "bias": 1}, "bias=1 does not fit; it must be yes or no"),
        ("conv", {"out": 8, "kernel": 3, "size": 2}, "conv has no setting 'size'; it takes out, k"),
        ("relu", {"slope": 2}, "relu has no setting 'slope'; it takes nothing"),
        ("conv", {"out": 8, "kernel": 3, "groups": 3}, "conv: groups=3 does not divide its 8"),
    ],
)
def test_values_that_do_not_fit(word, given, message):
    with pytest.raises(SpecError, match=message):
        layer(word, **given)


def test_unknown_layers_are_named():
    with pytest.raises(NameNotFound, match="unknown layer 'cnv'; did you mean 'conv'"):
        layer("cnv")


@pytest.mark.parametrize("kind", [Pair(), Maps(), Padding()])
def test_only_tuples_are_written(kind):
    with pytest.raises((TypeError, BadValue)):
        kind.check(kind.write(3))
