"""Steps of a generator against a discriminator: losses, gradients, workers."""

from dataclasses import replace

import numpy as np
import pytest
from network_specs import filled
from watchdog import nothing_left, watchdog

from cnntool.errors import NameNotFound, OptionError
from cnntool.nn import optim, processes
from cnntool.nn.adversarial import AdversarialStep, GanLoss
from cnntool.nn.gan_inputs import (
    GanBatch,
    divergence,
    embedded,
    generator_input,
    joined,
    logits_of,
)
from cnntool.nn.gradcheck import check_gradient

KINDS = ["threads", "processes"] if processes.forks() else ["threads"]
LATENT, CLASSES, EMBED, N = 5, 3, 2, 7
PICTURE = (2, 6, 4)

OF_NUMBERS = (
    "dense 36 bias=no | batchnorm | relu | reshape 6x3x2 | deconv 2 4 2 pad=1 | tanh"  # 2x6x4
)
OF_MAPS = "conv 4 3 pad=1 bias=no | batchnorm | relu | conv 2 3 pad=1"
JUDGE = (
    "conv 4 3 2 pad=1 | leakyrelu 0.2 | conv 5 3 pad=1 bias=no | batchnorm | leakyrelu 0.2\n"
    "dropout 0.2 | flatten | dense {}"
)


@pytest.fixture(autouse=True)
def _nothing_is_left():
    with watchdog(60), nothing_left():
        yield


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """Teams of threads, and of processes."""
    if request.param == "threads":
        monkeypatch.setattr(processes, "forks", lambda: False)
    return request.param


def some(rng, *shape):
    return rng.uniform(-1, 1, (*shape, N))


def one_hot(rng):
    return np.eye(CLASSES)[:, rng.integers(0, CLASSES, N)]


def plain(rng):
    return (OF_NUMBERS, (LATENT,), JUDGE.format(1)), GanBatch(
        real=some(rng, *PICTURE), noise=rng.standard_normal((LATENT, N))
    )


def of_class(rng):
    nets, batch = plain(rng)
    return (nets[0], (LATENT + CLASSES,), JUDGE.format(CLASSES + 1)), replace(
        batch, condition=one_hot(rng)
    )


def of_embedding(rng):
    nets, batch = of_class(rng)
    return (nets[0], (LATENT + EMBED,), nets[2], f"dense {2 * EMBED}"), replace(
        batch, chance=rng.standard_normal((EMBED, N))
    )


def of_picture(rng, joins="adds", judged=True):
    batch = GanBatch(
        real=some(rng, *PICTURE),
        noise=rng.standard_normal((1, *PICTURE[1:], N)),
        context=some(rng, *PICTURE),
        condition=one_hot(rng),
        judged=judged,
        joins=joins,
    )
    return (OF_MAPS, (2 + 1 + CLASSES, *PICTURE[1:]), JUDGE.format(CLASSES + 1)), batch


def filling(rng):
    (spec, _, judge), batch = of_picture(rng, "fills", judged=False)
    return (spec, (3, *PICTURE[1:]), judge.replace(str(CLASSES + 1), "1")), replace(
        batch, condition=None
    )


CASES = [plain, of_class, of_embedding, of_picture, filling]


def made_step(case, rng, loss, *, threads=1, dtype=np.float64):
    """A step, and a batch for it."""
    (generator, input, judge, *embedding), batch = case(rng)
    channels = PICTURE[0] * (2 if batch.judged else 1)
    networks = {
        "generator": filled(generator, input, 1, dtype=dtype),
        "discriminator": filled(judge, (channels, *PICTURE[1:]), 2, dtype=dtype),
    }
    if embedding:
        networks["embedding"] = filled(embedding[0], (CLASSES,), 3, dtype=dtype)
    optimisers = {
        name: optim.create("adam", network.parameters.size, dtype=dtype, betas=(0.5, 0.999))
        for name, network in networks.items()
    }
    step = AdversarialStep(
        networks["generator"], networks["discriminator"], networks.get("embedding"), optimisers,
        loss, threads=threads, seed=5,
    )  # fmt: skip
    arrays = {
        name: value if value is None else value.astype(dtype)
        for name in ("real", "noise", "context", "condition", "given", "chance")
        for value in [getattr(batch, name)]
    }
    return step, replace(batch, **arrays)


LOSSES = {
    "nonsaturating": GanLoss(smoothing=0.1, kl=0.7),
    "minimax": GanLoss(kind="minimax", content=3.0, kl=0.7),
}


# --- gradients ---


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_losses(case, loss, threads, rng):
    """Of all three networks, against finite differences."""
    step, batch = made_step(case, rng, LOSSES[loss], threads=threads)
    with step:

        def judged(flat):
            step.discriminator.parameters[...] = flat
            found, gradient = step.judging(batch)
            gradient = gradient.copy()
            return np.array([found["d_loss"]]), lambda grad_y: gradient * grad_y

        start = step.discriminator.parameters.copy()
        check_gradient(judged, start, rng=rng, directions=2, tolerance=1e-6)
        step.discriminator.parameters[...] = start
        networks = {"generator": step.generator, "embedding": step.embedding}
        for name, network in networks.items():
            if network is None:
                continue

            def made(flat, name=name, network=network):
                network.parameters[...] = flat
                step.judging(batch)
                found, gradients = step.making()
                gradient = gradients[name].copy()
                whole = found["g_loss"] + step.loss.content * found["content"]
                whole += step.loss.kl * found["kl"]
                return np.array([whole]), lambda grad_y: gradient * grad_y

            start = network.parameters.copy()
            check_gradient(made, start, rng=rng, directions=2, tolerance=1e-6)
            network.parameters[...] = start


def softplus(x):
    return np.log1p(np.exp(x))


def test_losses_are_those_of_the_papers(rng):
    """Without anything random, number by number."""
    nets = "dense 12 | tanh | reshape 2x3x2", "conv 3 2 | leakyrelu 0.2 | flatten | dense 4"
    for loss in (GanLoss(smoothing=0.2, content=2.0), GanLoss(kind="minimax")):
        generator, judge = filled(nets[0], (8,), 1), filled(nets[1], (2, 3, 2), 2)
        optimisers = {
            name: optim.create("sgd", net.parameters.size, dtype=np.float64)
            for name, net in (("generator", generator), ("discriminator", judge))
        }
        condition = one_hot(rng)
        batch = GanBatch(
            real=some(rng, 2, 3, 2), noise=rng.standard_normal((5, N)), condition=condition
        )
        fake = generator.predict(np.concatenate([batch.noise, condition]))

        def logits(pictures, judge=judge, condition=condition):
            answers = judge.predict(pictures)
            return (answers[:3] * condition).sum(axis=0) + answers[3]

        real, made = logits(batch.real), logits(fake)
        target = 1 - loss.smoothing
        expected = target * softplus(-real) + (1 - target) * softplus(real) + softplus(made)
        with AdversarialStep(generator, judge, None, optimisers, loss) as step:
            found, _ = step.judging(batch)
            assert found["d_loss"] == pytest.approx(expected.mean(), rel=1e-6)
            assert found["real"] == pytest.approx((1 / (1 + np.exp(-real))).mean(), rel=1e-6)
            assert found["fake"] == pytest.approx((1 / (1 + np.exp(-made))).mean(), rel=1e-6)
            found, _ = step.making()
        own = -np.log(1 / (1 + np.exp(-made)))
        if loss.kind == "minimax":
            own = np.log(1 - 1 / (1 + np.exp(-made)))
        assert found["g_loss"] == pytest.approx(own.mean(), rel=1e-6)
        distance = ((fake - batch.real) ** 2).mean() if loss.content else 0
        assert found["content"] == pytest.approx(distance, rel=1e-6)
        assert found["kl"] == 0


# --- workers, updates ---


def learned(case, threads, dtype=np.float64, steps=3):
    step, batch = made_step(case, np.random.default_rng(4), LOSSES["minimax"], threads=threads,
                            dtype=dtype)  # fmt: skip
    rows = []
    with step:
        for _ in range(steps):
            rows.append(step.judge(batch, 1e-2) | {"d": 0.0})
            rows.append(step.make(1e-2))
        networks = [step.generator, step.discriminator, step.embedding]
        states = [network.state() for network in networks if network is not None]
    return rows, states


@pytest.mark.parametrize("case", CASES)
def test_workers_share_what_one_does_alone(case, kind):
    alone, states = learned(case, 1)
    shared, others = learned(case, 3)
    for row, other in zip(alone, shared, strict=True):
        assert row == pytest.approx(other, rel=1e-9, abs=1e-12)
    for state, other in zip(states, others, strict=True):
        for name, value in state.items():
            np.testing.assert_allclose(other[name], value, rtol=1e-7, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_again(threads, kind):
    first, again = (learned(of_embedding, threads, np.float32) for _ in range(2))
    assert first[0] == again[0]
    for state, other in zip(first[1], again[1], strict=True):
        assert all(np.array_equal(state[name], other[name]) for name in state)


def test_batches_of_several_sizes(kind, rng):
    """The last worker may have fewer pictures, or none."""
    step, batch = made_step(of_class, rng, LOSSES["nonsaturating"], threads=3)
    with step:
        for count in (7, 2, 3, 6):
            cut = {
                name: getattr(batch, name)[..., :count] for name in ("real", "noise", "condition")
            }
            found = step.judge(GanBatch(**cut), 1e-3) | step.make(1e-3)
            assert np.isfinite(list(found.values())).all()


def test_statistics_are_those_of_the_real_pictures(rng):
    """Made pictures do not move the running means of the discriminator's normalisation."""
    step, batch = made_step(plain, rng, LOSSES["nonsaturating"])
    with step:
        before = {key: value.copy() for key, value in step.discriminator.state().items()}
        step.judging(batch)
        after = step.discriminator.state()
        name = next(key for key in after if key.endswith("running_mean"))
        moved = after[name] - before[name]
        assert np.abs(moved).max() > 0
        other = replace(batch, noise=batch.noise * 3)
        step.discriminator.load(before)
        step.judging(other)
        np.testing.assert_array_equal(step.discriminator.state()[name], after[name])
        step.making()
        np.testing.assert_array_equal(step.discriminator.state()[name], after[name])


# --- parts ---


def test_a_generator_gets_numbers_or_maps(rng):
    noise, condition = rng.standard_normal((2, N)), one_hot(rng)
    x = generator_input(noise, None, condition)
    np.testing.assert_array_equal(x, np.concatenate([noise, condition]))
    np.testing.assert_array_equal(generator_input(None, None, condition), condition)
    context, maps = some(rng, 2, 3, 4), some(rng, 1, 3, 4)
    x = generator_input(maps, context, condition)
    assert x.shape == (2 + 1 + CLASSES, 3, 4, N)
    np.testing.assert_array_equal(x[:2], context)
    np.testing.assert_array_equal(x[2], maps[0])
    np.testing.assert_array_equal(x[3:, 1, 2], condition)


def test_joins(rng):
    made, context = some(rng, 1, 4, 8), some(rng, 1, 4, 8)
    np.testing.assert_array_equal(joined(made, context, ""), made)
    np.testing.assert_array_equal(joined(made, None, ""), made)
    np.testing.assert_array_equal(joined(made, context, "adds"), made + context)
    whole = joined(made, context, "fills")
    expected = context.copy()
    expected[:, 1:3, 2:6] = made[:, 1:3, 2:6]
    np.testing.assert_array_equal(whole, expected)


def test_an_embedding_draws_normal_numbers(rng):
    numbers, chance = rng.standard_normal((4, N)), rng.standard_normal((2, N))
    drawn, means, logs = embedded(numbers, chance)
    np.testing.assert_allclose(drawn, numbers[:2] + np.exp(numbers[2:]) * chance)
    np.testing.assert_array_equal(means, numbers[:2])
    variance = np.exp(2 * logs)
    kl = 0.5 * (variance + means**2 - 1 - np.log(variance))
    assert divergence(means, logs) == pytest.approx(kl.sum())
    assert divergence(np.zeros((2, 3)), np.zeros((2, 3))) == 0


def test_a_projection_takes_the_answer_of_the_class():
    answers = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    assert logits_of(answers, None).tolist() == [100, 200]
    assert logits_of(answers, np.array([[1, 0], [0, 1]])).tolist() == [101, 220]


def test_losses_that_make_no_sense():
    with pytest.raises(NameNotFound, match="unknown GAN loss 'wasserstein'"):
        GanLoss(kind="wasserstein")
    with pytest.raises(OptionError, match="one-sided smoothing is from 0 to below 1, got 1"):
        GanLoss(smoothing=1.0)
