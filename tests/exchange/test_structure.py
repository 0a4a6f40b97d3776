"""Graphs of values as nested chains."""

import pytest

from cnntool.exchange.structure import NotNested, Piece, Value, nested
from cnntool.nn.layer_values import layer
from cnntool.nn.spec import format_spec

SHAPE = (2, 4, 6)


def step(x, word, **settings):
    return Value(SHAPE, (x,), [Piece(layer(word, **settings))], label=word)


def join(how, *values):
    return Value(SHAPE, values, join=how, label=how)


@pytest.fixture
def x():
    return Value(SHAPE, label="x")


def text(y, x):
    found = nested(y, x)
    return format_spec(found.chain)


def test_a_chain(x):
    assert text(step(step(x, "relu"), "tanh"), x) == "relu | tanh"
    assert text(x, x) == "dropout 0"


def test_pieces_come_in_the_order_of_the_layers(x):
    y = join("add", step(step(x, "relu"), "tanh"), step(x, "sigmoid"))
    y = step(join("concat", y, step(y, "relu6")), "softmax")
    words = [piece.layer.word for piece in nested(y, x).pieces]
    assert words == ["relu", "tanh", "sigmoid", "relu6", "softmax"]


def test_sums(x):
    assert text(join("add", step(x, "relu"), x), x) == "residual(relu)"
    assert text(join("add", x, step(x, "relu")), x) == "residual(relu)"
    both = join("add", step(x, "relu"), step(step(x, "tanh"), "relu6"))
    assert text(both, x) == "residual(tanh | relu6, relu)"
    three = join("add", join("add", step(x, "relu"), step(x, "tanh")), step(x, "relu6"))
    assert text(three, x) == "residual(residual(relu, tanh), relu6)"


def test_stacks(x):
    assert text(join("concat", x, step(x, "relu")), x) == "skip(relu)"
    assert text(join("concat", step(x, "relu"), x), x) == "concat(relu, dropout 0)"
    assert text(join("concat", step(x, "relu"), step(x, "tanh"), x), x) == (
        "concat(relu, tanh, dropout 0)"
    )
    assert text(join("concat", x, x), x) == "concat(dropout 0, dropout 0)"


def test_branches_in_branches(x):
    inner = step(x, "relu")
    inner = join("add", step(inner, "tanh"), inner)
    outer = join("concat", step(inner, "sigmoid"), step(x, "relu6"))
    assert text(step(outer, "relu"), x) == "concat(relu | residual(tanh) | sigmoid, relu6) | relu"


def test_u_net(x):
    first = step(x, "relu")
    second = step(first, "maxpool", kernel=2)
    third = step(second, "maxpool", kernel=2)
    up = join("concat", second, step(third, "upsample", factor=2))
    last = join("concat", first, step(up, "upsample", factor=2))
    assert text(last, x) == ("relu | skip(maxpool 2 | skip(maxpool 2 | upsample 2) | upsample 2)")


def test_stacks_that_were_melted_together(x):
    a, b = step(x, "relu"), step(x, "tanh")
    melted = join("concat", step(x, "sigmoid"), step(a, "relu6"), step(a, "tanh"), b)
    assert text(melted, x) == "concat(sigmoid, relu | concat(relu6, tanh), tanh)"


def test_unpooling(x):
    pool = step(x, "maxpool", kernel=2)
    assert text(join("unpool", step(pool, "relu"), x), x) == "pooled 2 (relu)"
    assert text(join("unpool", pool, x), x) == "pooled 2 (dropout 0)"
    deep = join("unpool", step(step(pool, "maxpool", kernel=3), "relu"), pool)
    assert text(join("unpool", deep, x), x) == "pooled 2 (pooled 3 (relu))"
    other = step(step(x, "relu"), "maxpool", kernel=2)
    with pytest.raises(NotNested, match="'unpool' unpools to maxima of another place"):
        nested(join("unpool", step(other, "relu"), x), x)


def test_ways_that_cross(x):
    a = step(x, "relu")
    b = step(a, "tanh")
    crossed = join("add", join("add", step(b, "sigmoid"), a), join("add", b, step(x, "relu6")))
    with pytest.raises(NotNested, match="goes into branches that meet in different places"):
        nested(crossed, x)


def test_a_value_and_itself(x):
    with pytest.raises(NotNested, match="'add' adds a value to itself"):
        nested(join("add", x, x), x)


def test_nesting_is_bounded(x):
    y = step(x, "relu")
    for _ in range(70):
        y = join("add", step(step(y, "relu"), "tanh"), x)
    with pytest.raises(NotNested, match="branches lie more than 64 deep in one another"):
        nested(y, x)


def test_other_inputs(x):
    with pytest.raises(NotNested, match="does not lead to the input"):
        nested(step(Value(SHAPE), "relu"), x)
    with pytest.raises(NotNested, match="values that come from different inputs meet"):
        join("add", step(Value(SHAPE), "relu"), x)
