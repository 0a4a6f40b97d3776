"""Texts that are read, and limits of what is read."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnntool.errors import CnntoolError, SpecError
from cnntool.nn import parse, trace
from cnntool.nn.layer_values import layer
from cnntool.nn.layer_words import ALIASES, COMBINATORS, LAYERS
from cnntool.nn.nodes import Chain, Concat, Pooled, Repeat, Residual, Skip, layer_count, leaves
from cnntool.nn.tokens import MAX_TEXT


def chain(*items):
    return Chain(tuple(items))


CONV = layer("conv", out=8, kernel=3)
RELU, TANH = layer("relu"), layer("tanh")


# ------------------------------------------------------------------------------ what is read
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv 8 3", chain(CONV)),
        ("conv 8 3 | relu", chain(CONV, RELU)),
        ("  conv\t8   3|relu ", chain(CONV, RELU)),
        ("conv 8 3\nrelu", chain(CONV, RELU)),
        ("conv 8 3\r\n\r\nrelu\r\n", chain(CONV, RELU)),
        ("conv 8 3 |\n relu", chain(CONV, RELU)),
        ("conv 8 3\n| relu", chain(CONV, RELU)),
        ("\n# two layers\nconv 8 3 # the first\n  relu#the second", chain(CONV, RELU)),
        ("conv\n8\n3", chain(CONV)),
        ("conv 8 3\npad = 1", chain(layer("conv", out=8, kernel=3, pad=1))),
        ("conv out=8 kernel=3", chain(CONV)),
        ("conv 8 kernel=3 bias=yes stride=1 pad=0 groups=1", chain(CONV)),
        ("conv 8 3x3 1x1", chain(CONV)),
        ("conv 8 3×3", chain(CONV)),
        ("CONV 8 3 | ReLU", chain(CONV, RELU)),
        ("Conv2d 8 3 | relu", chain(CONV, RELU)),
        ("conv 8 3X5", chain(layer("conv", out=8, kernel=(3, 5)))),
        ("conv 8 3 2", chain(layer("conv", out=8, kernel=3, stride=2))),
        ("conv 8 3 pad=1x2", chain(layer("conv", out=8, kernel=3, pad=(1, 2, 1, 2)))),
        ("conv 8 3 pad=1:2:3:4", chain(layer("conv", out=8, kernel=3, pad=(1, 2, 3, 4)))),
        ("conv 8 3 pad=SAME", chain(layer("conv", out=8, kernel=3, pad="same"))),
        ("conv 8 3 BIAS=no", chain(layer("conv", out=8, kernel=3, bias=False))),
        ("maxpool 2 2", chain(layer("maxpool", kernel=2))),
        ("maxpool 2 depth=3 dstride=3", chain(layer("maxpool", kernel=2, depth=3))),
        ("max_pool2d 3 2", chain(layer("maxpool", kernel=3, stride=2))),
        ("dropout", chain(layer("dropout", p=0.5))),
        ("leakyrelu 2e-1", chain(layer("leakyrelu", slope=0.2))),
        ("batchnorm eps=.001", chain(layer("batchnorm", eps=0.001))),
        ("(relu)", chain(RELU)),
        ("(relu)*1 | tanh", chain(RELU, TANH)),
        ("((relu | tanh))", chain(RELU, TANH)),
        ("(relu | tanh)*3", chain(Repeat(chain(RELU, TANH), 3))),
        ("((relu)*2 | tanh) * 3", chain(Repeat(chain(Repeat(chain(RELU), 2), TANH), 3))),
        ("conv 8 3\n(relu)\n*2", chain(CONV, Repeat(chain(RELU), 2))),
        ("residual(relu)", chain(Residual(chain(RELU)))),
        ("residual ( relu | tanh , conv 8 3 )", chain(Residual(chain(RELU, TANH), chain(CONV)))),
        ("residual(relu)*2", chain(Repeat(chain(Residual(chain(RELU))), 2))),
        ("concat(relu, tanh | conv 8 3)", chain(Concat((chain(RELU), chain(TANH, CONV))))),
        ("concat(\nrelu,\n tanh\n conv 8 3\n)", chain(Concat((chain(RELU), chain(TANH, CONV))))),
        ("skip(relu | tanh)", chain(Skip(chain(RELU, TANH)))),
        ("pooled 2 (relu)", chain(Pooled((2, 2), chain(RELU)))),
        ("pooled 2x3(relu)\ntanh", chain(Pooled((2, 3), chain(RELU)), TANH)),
        ("pooled\n2\n(\nrelu\n)", chain(Pooled((2, 2), chain(RELU)))),
    ],
)  # fmt: skip
def test_text_means(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Conv2d", "conv"), ("Conv2D", "conv"), ("ConvTranspose2d", "deconv"),
        ("Conv2DTranspose", "deconv"), ("DepthwiseConv2D", "depthwise"),
        ("SeparableConv2D", "separable"), ("LocallyConnected2D", "local"),
        ("DeformConv2d", "deform"), ("MaxPool2d", "maxpool"), ("MaxPooling2D", "maxpool"),
        ("AvgPool2d", "avgpool"), ("AveragePooling2D", "avgpool"),
        ("AdaptiveAvgPool2d", "adaptiveavgpool"), ("GlobalAveragePooling2D", "globalavgpool"),
        ("GlobalMaxPooling2D", "globalmaxpool"), ("Upsample", "upsample"),
        ("UpSampling2D", "upsample"), ("BatchNorm2d", "batchnorm"),
        ("BatchNormalization", "batchnorm"), ("LocalResponseNorm", "lrn"), ("ZeroPad2d", "pad"),
        ("ZeroPadding2D", "pad"), ("ReLU6", "relu6"), ("LeakyReLU", "leakyrelu"),
        ("Linear", "dense"), ("Dense", "dense"), ("Flatten", "flatten"), ("Unflatten", "reshape"),
        ("conv_transpose2d", "deconv"), ("leaky_relu", "leakyrelu"),
    ],
)  # fmt: skip
def test_names_of_torch_and_keras_are_understood(name, word):
    entry = LAYERS[word]
    values = (entry.example or word).split(" ", 1)[1:]
    assert parse(" ".join([name, *values])) == parse(" ".join([word, *values]))


def test_words_are_distinct():
    assert not set(ALIASES) & set(LAYERS)
    assert not set(COMBINATORS) & (set(LAYERS) | set(ALIASES))
    assert set(ALIASES.values()) <= set(LAYERS)


def test_layers_know_their_place():
    found = list(leaves(parse("conv 8 3 | relu\n residual(tanh\n, conv 8 3)")))
    places = [(found.word, found.place.line, found.place.column) for found in found]
    assert places == [("conv", 1, 1), ("relu", 1, 12), ("tanh", 2, 11), ("conv", 3, 3)]


def test_layers_are_counted_as_often_as_they_run():
    text = "(relu | residual(tanh | relu))*3 | pooled 2 (relu) | concat(relu, tanh) | skip(relu)"
    assert layer_count(parse(text)) == 3 * 4 + 3 + 3 + 2
    assert len(trace(parse(text), (2, 6, 6)).rows) == layer_count(parse(text))


def test_text_may_be_long_but_not_endless():
    text = "relu # " + "x" * MAX_TEXT
    with pytest.raises(SpecError, match=r"the specification has 1000007 characters; at most"):
        parse(text)
    assert parse(text[:MAX_TEXT]) == chain(RELU)


def test_errors_carry_their_place():
    with pytest.raises(SpecError) as caught:
        parse("relu\nrelu | conv 8 0")
    assert (caught.value.line, caught.value.column) == (2, 15)


def test_a_chain_is_never_empty():
    with pytest.raises(SpecError, match="a chain of layers is empty; put at least one layer"):
        Chain(())


def test_trees_may_not_be_deeper_than_texts():
    tree = chain(RELU)
    for _ in range(100):
        tree = chain(Skip(tree))
    with pytest.raises(SpecError, match="the network is nested more than 64 deep; nest it less"):
        trace(tree, (1, 2, 3))


# ------------------------------------------------------------------------------------- fuzz
pieces = st.sampled_from(
    [
        *LAYERS, *COMBINATORS, "Conv2d", "xyz", "8", "3", "3x5", "1:2:3:4", "0", "-1", "1e-3",
        "99999", "|", "|", "|", "(", ")", ",", "*", "=", "pad", "pad=same", "stride=2", "groups=2",
        "depth=2", "bias=no", "\n", "\r\n", "#", " ", "×", "\x00", "é", "²", "\ud800", "(relu)*2",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=40), st.lists(pieces, max_size=25).map(" ".join)))
@example("(" * 3000)
@example("|" * 3000)
@example("conv 8 3 pad=" * 50)
@example("residual(relu,relu)*9999 | " * 3)
@example("(upsample 1000x1000)*10000")
@example("upsample 999 | flatten | dense 999999 | dense 999999")
def test_no_text_raises_anything_but_our_errors(text):
    try:
        tree = parse(text)
        trace(tree, (2, 9, 10))
    except SpecError as error:
        assert 0 < len(str(error)) <= 290
        assert str(error).isprintable()
    except CnntoolError as error:
        pytest.fail(f"a specification is to blame, not {error!r}")
