"""Layers one after another and side by side, against sums and stacks written out."""

import weakref

import numpy as np
import pytest
import reference
import reference_nn as loops

from cnntool.nn import nodes, parse, trace
from cnntool.nn.gradcheck import check_gradient, spaced
from cnntool.nn.layers.joints import Concat, Pooled, Residual, Sequence, Skip
from cnntool.nn.layers.table import LAYER_TYPES
from cnntool.nn.run import Run
from cnntool.ops import memory


def built(chain, rows, *, first=False):
    """The layers of a chain; ``rows`` come in the order in which they run."""
    parts = []
    for number, node in enumerate(nodes.unrolled(chain)):
        start = first and number == 0
        if isinstance(node, nodes.Layer):
            parts.append(LAYER_TYPES[node.word](next(rows), first=start))
        elif isinstance(node, nodes.Residual):
            main = built(node.main, rows, first=start)
            short = node.shortcut and built(node.shortcut, rows, first=start)
            parts.append(Residual(next(rows), main, short))
        elif isinstance(node, nodes.Concat):
            branches = [built(branch, rows, first=start) for branch in node.branches]
            parts.append(Concat(next(rows), branches))
        elif isinstance(node, nodes.Skip):
            body = built(node.body, rows, first=start)
            parts.append(Skip(next(rows), body))
        else:
            pool_row = next(rows)
            body = built(node.body, rows, first=start)
            parts.append(Pooled(pool_row, next(rows), body))
    return Sequence(parts)


class Net:
    """A network of a text with random arrays, named as its rows say."""

    def __init__(self, text, shape, rng, *, first=False):
        chain = parse(text)
        self.trace = trace(chain, shape)
        rows = iter(self.trace.rows)
        self.body = built(chain, rows, first=first)
        assert next(rows, None) is None
        self.parameters, self.buffers = {}, {}
        for row in self.trace.rows:
            for tensor in row.parameters:
                self.parameters[f"{row.name}.{tensor.name}"] = rng.standard_normal(tensor.shape) / 2
            for tensor in row.buffers:
                self.buffers[f"{row.name}.{tensor.name}"] = rng.uniform(0.5, 2, tensor.shape)

    def __getitem__(self, name):
        return self.parameters[name]

    def run(self, xp=None, parameters=None, dtype=np.float64, **options):
        def there(a):
            return a if xp is None else xp.to_device(a.astype(dtype))

        tensors = (parameters or self.parameters) | self.buffers
        tensors = {name: there(a) for name, a in tensors.items()}
        gradients = {
            name: there(np.full(a.shape, np.nan)) for name, a in self.parameters.items()
        } if options.get("training") else None  # fmt: skip
        return Run(tensors=tensors, gradients=gradients, keeps_statistics=False, **options)

    def predict(self, x):
        y, backward = self.body.forward(x, self.run())
        assert backward is None
        assert y.shape[:-1] == self.trace.output
        return y

    def check_gradient(self, x, rng, **options):
        names = list(self.parameters)

        def vjp(x, *arrays):
            run = self.run(parameters=dict(zip(names, arrays, strict=True)), **options)
            y, backward = self.body.forward(x, run)

            def both(grad):
                grad_x = backward(grad.copy())
                found = run.gradients
                return grad_x, *(found[n] if found else None for n in names)

            return y, both

        check_gradient(vjp, x, *self.parameters.values(), rng=rng)


def conv3(x, net, name):
    return loops.conv2d(x, net[f"{name}.weight"], net[f"{name}.bias"], (1, 1), (1, 1, 1, 1))


def conv1(x, net, name):
    return loops.conv2d(x, net[f"{name}.weight"], net[f"{name}.bias"], (1, 1), (0, 0, 0, 0))


# --- against sums and stacks ---


def test_residual_adds_its_input(rng):
    net = Net("residual(conv 3 3 pad=1 | relu)", (3, 4, 5), rng)
    x = rng.standard_normal((3, 4, 5, 2))
    wanted = np.maximum(conv3(x, net, "0.main.conv"), 0) + x
    np.testing.assert_allclose(net.predict(x), wanted, rtol=1e-10, atol=1e-12)


def test_residual_adds_its_shortcut(rng):
    net = Net("residual(conv 4 3 pad=1 | relu | conv 4 1, conv 4 1)", (3, 4, 5), rng)
    x = rng.standard_normal((3, 4, 5, 2))
    main = conv1(np.maximum(conv3(x, net, "0.main.0.conv"), 0), net, "0.main.2.conv")
    wanted = main + conv1(x, net, "0.shortcut.conv")
    np.testing.assert_allclose(net.predict(x), wanted, rtol=1e-10, atol=1e-12)


def test_concat_stacks_its_branches(rng):
    net = Net("concat(conv 2 3 pad=1 | relu, maxpool 3 1 pad=1, conv 4 1)", (3, 4, 5), rng)
    x = rng.standard_normal((3, 4, 5, 2))
    wanted = np.concatenate([
        np.maximum(conv3(x, net, "0.branch0.conv"), 0),
        reference.pool2d(x, "max", (3, 3), (1, 1), (1, 1))[0],
        conv1(x, net, "0.branch2.conv"),
    ])  # fmt: skip
    np.testing.assert_allclose(net.predict(x), wanted, rtol=1e-10, atol=1e-12)


def test_concat_stacks_vectors(rng):
    net = Net("concat(dense 4, dense 2 | relu)", (5,), rng)
    x = rng.standard_normal((5, 3))
    first, second = (
        loops.linear(x, net[f"0.branch{i}.dense.weight"], net[f"0.branch{i}.dense.bias"])
        for i in range(2)
    )
    wanted = np.concatenate([first, np.maximum(second, 0)])
    np.testing.assert_allclose(net.predict(x), wanted, rtol=1e-10, atol=1e-12)


def test_skip_puts_its_input_in_front(rng):
    net = Net("skip(maxpool 2 | conv 4 1 | upsample 2)", (3, 4, 6), rng)
    x = rng.standard_normal((3, 4, 6, 2))
    small = reference.pool2d(x, "max", (2, 2))[0]
    large = conv1(small, net, "0.skip.conv").repeat(2, axis=1).repeat(2, axis=2)
    wanted = np.concatenate([x, large])
    np.testing.assert_allclose(net.predict(x), wanted, rtol=1e-10, atol=1e-12)


def unpooled(small, positions, shape):
    y = np.zeros(shape)
    for c, i, j, n in loops.places(small.shape):
        y[c, *divmod(positions[c, i, j, n], shape[2]), n] = small[c, i, j, n]
    return y


def test_pooled_puts_values_where_the_maxima_were(rng):
    net = Net("pooled 2x3 (conv 3 3 pad=1)", (3, 5, 7), rng)  # a row and a column are left over
    x = rng.standard_normal((3, 5, 7, 2))
    small, positions = reference.pool2d(x, "max", (2, 3))
    wanted = unpooled(conv3(small, net, "0.pooled.conv"), positions, x.shape)
    np.testing.assert_allclose(net.predict(x), wanted, rtol=1e-10, atol=1e-12)


# --- gradients ---

NETS = {
    "residual(conv 3 3 pad=1 | relu)": (3, 4, 5),
    "residual(relu)": (3, 4, 5),
    "residual(conv 4 3 2 pad=1 | batchnorm, conv 4 1 2)": (3, 4, 5),
    "concat(conv 2 3 pad=1 | relu, maxpool 3 1 pad=1, avgpool 3 1 pad=1)": (2, 4, 5),
    "flatten | concat(dense 4, tanh) | dense 3": (2, 3, 1),
    "skip(maxpool 2 | conv 4 1 | upsample 2) | conv 2 1": (3, 4, 6),
    "pooled 2x3 (conv 3 3 pad=1 | tanh)": (3, 5, 7),
    "conv 4 3 pad=1 | skip(pooled 2 (residual(conv 4 3 pad=1 | batchnorm | relu) | concat(conv 3 1,"
    " residual(tanh, conv 4 3 pad=1) | conv 1 1))) | relu | globalavgpool | flatten | dense 3":
        (2, 6, 5),
}  # fmt: skip
each_net = pytest.mark.parametrize("text", NETS)


@each_net
def test_gradients(text, rng):
    net = Net(text, NETS[text], rng)
    x = spaced(rng, (*NETS[text], 3))
    net.check_gradient(x, rng, training=True)
    net.check_gradient(x, rng, input_gradient=True)


@each_net
def test_training_makes_no_transfer_and_no_float64(text, xp, rng):
    net, images = Net(text, NETS[text], rng), 3
    x = xp.to_device(rng.standard_normal((*NETS[text], images)).astype(np.float32))
    grad = xp.to_device(rng.standard_normal((*net.trace.output, images)).astype(np.float32))
    run = net.run(xp, dtype=np.float32, training=True)
    with xp.no_transfers():
        y, backward = net.body.forward(x, run)
        grad_x = backward(grad)
    assert y.dtype == grad_x.dtype == np.float32
    assert all(np.isfinite(xp.to_host(gradient)).all() for gradient in run.gradients.values())


@each_net
def test_batch_is_one_by_one(text, rng):
    net = Net(text, NETS[text], rng)
    x = rng.standard_normal((*NETS[text], 3))
    single = [net.predict(x[..., i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(net.predict(x), np.concatenate(single, -1), rtol=1e-11, atol=1e-12)


@each_net
def test_first_layers_give_no_gradient_unless_it_is_wanted(text, rng):
    state = rng.bit_generator.state
    x = rng.standard_normal((*NETS[text], 2))
    whole = None
    for first, wanted in ((False, False), (True, False), (True, True)):
        rng.bit_generator.state = state
        net = Net(text, NETS[text], rng, first=first)
        run = net.run(training=True, input_gradient=wanted)
        y, backward = net.body.forward(x, run)
        grad_x = backward(np.cos(y))
        if whole is None:
            whole = run.gradients, grad_x
        assert (grad_x is None) == (first and not wanted)
        if grad_x is not None:
            np.testing.assert_allclose(grad_x, whole[1], rtol=1e-10, atol=1e-12)
        for name, gradient in run.gradients.items():
            np.testing.assert_allclose(gradient, whole[0][name], rtol=1e-10, atol=1e-12)


# --- who owns which memory ---


@each_net
def test_memory_that_is_used_again_changes_nothing(text, rng, monkeypatch):
    monkeypatch.setattr(memory, "SMALL_BYTES", 0)
    net = Net(text, NETS[text], rng)
    inputs = rng.standard_normal((2, *NETS[text], 3))

    def passes():
        """Two passes at the same time, twice."""
        found = []
        for _ in range(2):
            runs = [net.run(training=True) for _ in inputs]
            ways = [net.body.forward(x, run) for x, run in zip(inputs, runs, strict=True)]
            for (y, backward), run in zip(ways, runs, strict=True):
                found += [y.copy(), backward(np.cos(y)).copy(), *run.gradients.values()]
        return found

    wanted, pool = passes(), memory.Pool()
    with pool.used():
        found = passes()
    assert pool.bytes > 0
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Times:
    """Multiplies; on the way back it spoils what it was given, or works in it."""

    def __init__(self, factor, *, inside=False):
        self.factor, self.inside = factor, inside

    def forward(self, x, run):
        def backward(grad):
            answer = grad if self.inside else grad.copy()
            answer *= self.factor
            if not self.inside:
                grad[...] = np.nan
            return answer

        return x * self.factor, backward if run.needs_gradients else None


class End(Times):
    """Nobody wants the gradient of its input."""

    def forward(self, x, run):
        return x * self.factor, lambda grad: None


@pytest.mark.parametrize("inside", [False, True])
def test_branches_may_overwrite_their_gradients(inside, rng):
    two, three = Times(2.0, inside=inside), Times(3.0, inside=inside)
    x, wide = rng.standard_normal((3, 4, 5, 2)), rng.standard_normal((6, 4, 5, 2))
    run = Run(tensors={}, training=True)
    for joint, grad, wanted in (
        (Residual(None, two), x, 3 * x),
        (Residual(None, two, three), x, 5 * x),
        (Residual(None, Sequence([]), two), x, 3 * x),
        (Residual(None, Sequence([])), x, 2 * x),
        (Concat(None, [two, three]), wide, 2 * wide[:3] + 3 * wide[3:]),
        (Concat(None, [Sequence([]), Sequence([])]), wide, wide[:3] + wide[3:]),
        (Skip(None, two), wide, wide[:3] + 2 * wide[3:]),
        (Skip(None, Sequence([])), wide, wide[:3] + wide[3:]),
        (Sequence([two, Residual(None, two, three)]), x, 10 * x),
        (Residual(None, Residual(None, two, three), Residual(None, two)), x, 8 * x),
    ):
        kept = x.copy()
        _, backward = joint.forward(x, run)
        np.testing.assert_allclose(backward(grad.copy()), wanted)
        np.testing.assert_array_equal(x, kept)


def test_sums_do_not_reach_back_into_the_input():
    """A branch that gives its input, or a view of it, must not see the sum written there."""
    x = np.ones((2, 3, 4, 1))
    for run in (Run(tensors={}), Run(tensors={}, training=True)):
        y, _ = Residual(None, Sequence([])).forward(x, run)
        assert y.sum() == 2 * x.size == 48
        assert x.sum() == 24


@pytest.mark.parametrize("joint", [
    Residual(None, End(2.0)),
    Residual(None, Times(2.0), End(2.0)),
    Residual(None, End(2.0), Times(2.0)),
    Concat(None, [Times(2.0), End(2.0)]),
    Concat(None, [End(2.0), Times(2.0)]),
    Skip(None, End(2.0)),
    Sequence([Times(2.0), End(2.0), Times(2.0)]),
], ids=lambda joint: type(joint).__name__)  # fmt: skip
def test_no_gradient_comes_out_where_one_way_ends(joint):
    y, backward = joint.forward(np.ones((2, 3, 4, 1)), Run(tensors={}, training=True))
    assert backward(y) is None


# --- the way back ---


class Keeper:
    """Keeps an array for the way back, and looks there for what others still keep."""

    alive: list[weakref.ref]

    def __init__(self):
        self.seen = None

    def forward(self, x, run):
        kept = x + 1
        Keeper.alive.append(weakref.ref(kept))

        def backward(grad):
            self.seen = sum(other() is not None for other in Keeper.alive)
            return grad + 0 * kept

        return x + 0, backward


def test_what_was_kept_is_let_go_step_by_step():
    keepers, Keeper.alive = [Keeper() for _ in range(4)], []
    y, backward = Sequence(keepers).forward(np.zeros((2, 3)), Run(tensors={}, training=True))
    backward(y)
    assert [keeper.seen for keeper in keepers] == [1, 2, 3, 4]


def test_the_way_back_is_taken_once():
    y, backward = Sequence([Times(2.0)]).forward(np.ones((2, 1)), Run(tensors={}, training=True))
    assert backward(y).tolist() == [[4.0], [4.0]]
    with pytest.raises(RuntimeError, match="it can be taken once, call forward again"):
        backward(y)


def test_no_layers_change_nothing():
    x = np.ones((2, 3))
    y, backward = Sequence([]).forward(x, Run(tensors={}, training=True))
    assert y is x
    assert backward(x) is x


def test_pooled_needs_a_pooling():
    rows = trace(parse("relu | tanh"), (2, 3, 4)).rows
    with pytest.raises(TypeError, match=r"0\.relu is no pooling"):
        Pooled(rows[0], rows[1], Sequence([]))
