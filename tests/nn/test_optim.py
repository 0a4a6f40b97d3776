"""Optimisers against their formulas, number by number in float64, and against torch's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import ModelFileError, NameNotFound, OptionError, ShapeError
from cnntool.nn import optimiser as base
from cnntool.nn.optim import OPTIMISERS, Adam, Sgd, create, defaults
from cnntool.nn.optimiser import decaying

# --- the formulas, as torch documents them, one parameter at a time ---


def sgd(p, gradients, rates, momentum=0.0, nesterov=False, weight_decay=0.0):
    buffer = None
    for g, lr in zip(gradients, rates, strict=True):
        g = g + weight_decay * p
        if momentum:
            buffer = g if buffer is None else momentum * buffer + g
            g = g + momentum * buffer if nesterov else buffer
        p = p - lr * g
    return p


def adam(p, gradients, rates, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    m = v = 0.0
    for step, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        first, second = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
        p = p - lr * first / (math.sqrt(second) + eps)
    return p


def adamw(p, gradients, rates, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    return adam(p, gradients, rates, betas, eps, weight_decay, decoupled=True)


FORMULAS = {"sgd": sgd, "adam": adam, "adamw": adamw}

CASES = [
    ("sgd", {}),
    ("sgd", {"weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    ("adam", {}),
    ("adam", {"betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.2}),
    ("adam", {"betas": (0.0, 0.0)}),
    ("adamw", {}),
    ("adamw", {"betas": (0.8, 0.99), "weight_decay": 0.3}),
    ("adamw", {"weight_decay": 0.0}),
]
IDS = [f"{name}-{'-'.join(options) or 'plain'}" for name, options in CASES]
RATES = [0.1, 0.05, 0.2, 0.01, 0.1]


def problem(rng, size, steps=5):
    start = rng.standard_normal(size)
    return start, rng.standard_normal((steps, size)) * 10.0 ** rng.integers(-3, 3, size)


def expected(name, options, start, gradients, decays=None):
    """Each parameter by itself; those outside ``decays`` without weight decay."""
    answer = []
    for place, value in enumerate(start):
        mine = {**defaults(name), **options}
        if decays is not None and place not in decays:
            mine["weight_decay"] = 0.0
        answer.append(FORMULAS[name](value, gradients[:, place], RATES, **mine))
    return np.array(answer)


def trained(xp, optimiser, start, gradients, dtype, rates=RATES):
    p = xp.to_device(start.astype(dtype))
    steps = [xp.to_device(g.astype(dtype)) for g in gradients]
    with xp.no_transfers(allow_float64=dtype is np.float64):
        for g, lr in zip(steps, rates, strict=True):
            optimiser.update(p, g, lr)
    return xp.to_host(p)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_formulas(name, options, xp, rng):
    start, gradients = problem(rng, 53)
    optimiser = create(name, 53, xp.xp, np.float64, **options)
    found = trained(xp, optimiser, start, gradients, np.float64)
    np.testing.assert_allclose(found, expected(name, options, start, gradients), rtol=1e-9)
    assert optimiser.step == 5


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_single_precision(name, options, xp, rng):
    start, gradients = problem(rng, 53)
    found = trained(xp, create(name, 53, xp.xp, **options), start, gradients, np.float32)
    assert found.dtype == np.float32
    wanted = expected(name, options, start, gradients)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


PARTS = [slice(20, 31), slice(3, 9), slice(9, 12), slice(40, 40)]
DECAYS = {*range(3, 12), *range(20, 31)}


@pytest.mark.parametrize(
    ("name", "options"), [(n, o) for n, o in CASES if o.get("weight_decay", n == "adamw")]
)
@pytest.mark.parametrize("block", [1 << 16, 7, 1])
def test_parts_that_decay(name, options, block, xp, rng, monkeypatch):
    monkeypatch.setattr(base, "BLOCK", block)
    start, gradients = problem(rng, 53)
    optimiser = create(name, 53, xp.xp, np.float64, decaying=PARTS, **options)
    found = trained(xp, optimiser, start, gradients, np.float64)
    wanted = expected(name, options, start, gradients, DECAYS)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_blocks_change_no_bit(name, options, rng, monkeypatch):
    start, gradients = problem(rng, 53)

    def run():
        p = start.astype(np.float32)
        optimiser = create(name, 53, decaying=PARTS, **options)
        for g, lr in zip(gradients, RATES, strict=True):
            optimiser.update(p, g.astype(np.float32), lr)
        return p

    whole = run()
    monkeypatch.setattr(base, "BLOCK", 10)
    assert run().tobytes() == whole.tobytes()


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_both_libraries_give_the_same_bits(name, options, xp, rng):
    start, gradients = problem(rng, 53)
    found = trained(xp, create(name, 53, xp.xp, **options), start, gradients, np.float32)
    p = start.astype(np.float32)
    on_host = create(name, 53, **options)
    for g, lr in zip(gradients, RATES, strict=True):
        on_host.update(p, g.astype(np.float32), lr)
    assert found.tobytes() == p.tobytes()


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(CASES),
    st.lists(st.tuples(st.floats(-5, 5), st.floats(1e-3, 1)), min_size=1, max_size=6),
    st.floats(-3, 3),
)
def test_any_gradients(case, steps, start):
    name, options = case
    p, optimiser = np.array([start]), create(name, 1, dtype=np.float64, **options)
    for gradient, lr in steps:
        optimiser.update(p, np.array([gradient]), lr)
    formula = FORMULAS[name](
        start, [g for g, _ in steps], [lr for _, lr in steps], **{**defaults(name), **options}
    )
    assert p[0] == pytest.approx(formula, rel=1e-7, abs=1e-7)


def test_against_torch():
    torch = pytest.importorskip("torch")
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    rng = np.random.default_rng(5)
    for name, options in CASES:
        start, gradients = problem(rng, 53, 30)
        rates = 0.1 * 0.9 ** np.arange(30)
        for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 2e-5)):
            theirs = torch.tensor(start.astype(dtype), requires_grad=True)
            peer = kinds[name]([theirs], lr=1.0, **options)
            p, ours = start.astype(dtype), create(name, 53, dtype=dtype, **options)
            for g, lr in zip(gradients, rates, strict=True):
                theirs.grad = torch.tensor(g.astype(dtype))
                peer.param_groups[0]["lr"] = float(lr)
                peer.step()
                ours.update(p, g.astype(dtype), float(lr))
            wanted = theirs.detach().numpy()
            np.testing.assert_allclose(
                p, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max(), err_msg=name
            )
            for key, buffer in ours.buffers.items():
                other = peer.state[theirs][key].numpy()
                np.testing.assert_allclose(
                    buffer, other, rtol=tolerance, atol=tolerance * np.abs(other).max()
                )
        for option, value in defaults(name).items():
            assert kinds[name]([theirs]).defaults[option] == value


# --- memory ---


def test_a_step_allocates_nothing_large_on_a_device(double):
    from device_double.traffic import traffic

    for name, options in CASES:
        size = 1000
        optimiser = create(name, size, double.xp, **options)
        p, g = (double.to_device(np.ones(size, np.float32)) for _ in range(2))
        optimiser.update(p, g, 0.1)
        before = traffic.live_bytes
        traffic.limit = before + size  # a quarter of one more array
        optimiser.update(p, g, 0.1)
        traffic.limit = 0
        assert traffic.live_bytes == before


def test_a_step_allocates_nothing_large_on_the_host():
    tracemalloc = pytest.importorskip("tracemalloc")
    for name, options in CASES:
        size = 100_000
        optimiser = create(name, size, **options)
        p, g = np.ones((2, size), np.float32)
        tracemalloc.start()
        try:
            optimiser.update(p, g, 0.1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 20_000


# --- state ---


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_resumed_is_uninterrupted(name, options, xp, rng):
    start, gradients = problem(rng, 53)
    whole = trained(xp, create(name, 53, xp.xp, **options), start, gradients, np.float32)
    first = create(name, 53, xp.xp, **options)
    half = trained(xp, first, start, gradients[:2], np.float32, RATES[:2])
    saved = {
        key: np.array(value if isinstance(value, np.ndarray) else xp.to_host(value))
        for key, value in first.state().items()
    }
    second = create(name, 53, xp.xp, **options)
    second.load_state(saved)
    found = trained(xp, second, half, gradients[2:], np.float32, RATES[2:])
    assert found.tobytes() == whole.tobytes()
    assert second.step == 5


def test_names_of_the_state():
    assert set(create("sgd", 3).state()) == {"step"}
    assert set(create("sgd", 3, momentum=0.5).state()) == {"step", "momentum_buffer"}
    state = create("adam", 3).state()
    assert set(state) == {"step", "exp_avg", "exp_avg_sq"}
    assert state["step"].tolist() == [0]


def test_states_are_copied():
    one, two = create("adam", 3), create("adam", 3)
    state = one.state()
    two.load_state(state)
    two.update(np.ones(3, np.float32), np.ones(3, np.float32), 0.1)
    assert not state["exp_avg"].any()
    assert one.step == 0


def test_foreign_states_change_nothing():
    adam = create("adam", 3)
    good = {key: value.copy() for key, value in adam.state().items()}
    with pytest.raises(
        ModelFileError,
        match="this is no state of adam: it holds momentum_buffer, step, exp_avg, exp_avg_sq, step "
        "are needed; resume with the optimiser of the run",
    ):
        adam.load_state(create("sgd", 3, momentum=0.9).state())
    with pytest.raises(ModelFileError, match="it holds nothing, exp_avg"):
        adam.load_state({})
    with pytest.raises(ModelFileError, match=r"exp_avg of .* is \(4,\) of float32, .* \(3,\) of f"):
        adam.load_state(create("adam", 4).state())
    with pytest.raises(ModelFileError, match=r"exp_avg_sq of .* of float64, the network has"):
        adam.load_state({**good, "exp_avg": np.ones(3, "f4"), "exp_avg_sq": np.ones(3)})
    for step in (np.array([-1]), np.array([1, 2])):
        with pytest.raises(ModelFileError, match="the step of the optimiser's state is no number"):
            adam.load_state({**good, "exp_avg": np.ones(3, "f4"), "step": step})
    assert not adam.state()["exp_avg"].any()


# --- which parameters decay ---


def test_weights_decay_and_other_parameters_do_not():
    from cnntool.nn import parse, trace

    rows = trace(
        parse(
            "conv 4 3 | batchnorm | deform 3 2 offsets=learned | deform 3 2 | separable 5 2 | "
            "local 2 2 bias=no | residual(conv 2 1 | batchnorm) | flatten | dense 7"
        ),
        (2, 9, 9),
    ).rows
    places, start = {}, 0
    for row in rows:
        for tensor in row.parameters:
            places[f"{row.name}.{tensor.name}"] = slice(start, start + tensor.size)
            start += tensor.size
    names = {(place.start, place.stop): name for name, place in places.items()}
    assert [names[place.start, place.stop] for place in decaying(places)] == [
        "0.conv.weight",
        "2.deform.weight",
        "3.deform.weight",
        "3.deform.offset.weight",
        "4.separable.depthwise.weight",
        "4.separable.pointwise.weight",
        "5.local.weight",
        "6.main.conv.weight",
        "8.dense.weight",
    ]


@pytest.mark.parametrize(
    "parts",
    [[slice(0, 5), slice(4, 9)], [slice(5, 11)], [slice(-2, 3)], [slice(0, 8, 2)], [slice(6, 5)]],
)
def test_parts_that_do_not_fit(parts):
    with pytest.raises(ShapeError, match="must be slices of 10 numbers that do not overlap"):
        create("sgd", 10, decaying=parts)


# --- messages ---


def test_arrays_that_do_not_fit():
    optimiser = create("sgd", 3)
    good = np.zeros(3, np.float32)
    with pytest.raises(
        ShapeError,
        match=r"the gradients must be one flat array of 3 float32 numbers; got \(4,\) of float32",
    ):
        optimiser.update(good, np.zeros(4, np.float32), 0.1)
    with pytest.raises(ShapeError, match=r"the parameters must be .* got \(3,\) of float64"):
        optimiser.update(np.zeros(3), good, 0.1)
    assert optimiser.step == 0


def test_unknown_names():
    with pytest.raises(NameNotFound, match="unknown optimiser 'adan'; did you mean 'adam'"):
        create("adan", 3)
    with pytest.raises(NameNotFound, match="unknown option of sgd 'momentun'; did you mean 'mome"):
        create("sgd", 3, momentun=0.9)
    with pytest.raises(NameNotFound, match="unknown option of adam 'decoupled'"):
        create("adam", 3, decoupled=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgd", {"momentum": 1}, "momentum must be 0 or more and below 1, got 1"),
        ("sgd", {"momentum": -0.1}, "momentum must be 0 or more and below 1, got -0.1"),
        ("sgd", {"momentum": math.nan}, "momentum must be 0 or more and below 1, got nan"),
        ("sgd", {"nesterov": True}, "nesterov needs a momentum above 0, such as 0.9"),
        ("sgd", {"weight_decay": -1e-4}, "weight_decay must be 0 or more, got -0.0001"),
        ("adamw", {"weight_decay": math.inf}, "weight_decay must be 0 or more, got inf"),
        ("adam", {"betas": (0.9, 1.0)}, "betas must be 0 or more and below 1, got 1"),
        ("adam", {"betas": (0.9,)}, "betas are two numbers such as 0.9, 0.999; got 1"),
        ("adam", {"eps": 0}, "eps must be above 0, got 0"),
    ],
)
def test_options_out_of_range(name, options, message):
    with pytest.raises(OptionError, match=message):
        create(name, 3, **options)


def test_the_table():
    assert list(OPTIMISERS) == ["sgd", "adam", "adamw"]
    assert all(kind.summary for kind in OPTIMISERS.values())
    assert defaults("sgd") == {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    assert isinstance(create("sgd", 1), Sgd)
    assert isinstance(create("adamw", 1), Adam)


def test_networks_without_parameters():
    for name in OPTIMISERS:
        create(name, 0).update(np.zeros(0, np.float32), np.zeros(0, np.float32), 0.1)


def test_rates_of_any_size_leave_float32_alone():
    p = np.ones(2, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        create("sgd", 2).update(p, np.full(2, 3e38, np.float32), np.float64(1e9))
    assert p.dtype == np.float32
    assert np.isinf(p).all()
