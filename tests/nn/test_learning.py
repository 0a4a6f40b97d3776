"""Training works: networks of every kind learn small pictures that they have not seen."""

import numpy as np
import pytest
from watchdog import watchdog

from cnntool.models import create
from cnntool.nn import optim, parse
from cnntool.nn.network import Network
from cnntool.nn.optimiser import decaying
from cnntool.nn.predictor import Predictor
from cnntool.nn.step import TrainingStep

SIZE = (12, 10)
CLASSES = 8
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]


def shape(number, row, column):
    """A bar in one of four directions, a cross, a frame, a disc or a chequered board."""
    down, across = ROWS - row, COLUMNS - column
    near = np.maximum(np.abs(down), np.abs(across))
    return [
        np.abs(down) < 1,
        np.abs(across) < 1,
        np.abs(down - across) < 1,
        np.abs(down + across) < 1,
        (np.abs(down) < 1) | (np.abs(across) < 1),
        near == 3,
        down**2 + across**2 < 10,
        (near < 4) & ((down + across) % 2 == 0),
    ][number] & (near < 5)


def pictures(rng, count):
    """(1, 12, 10, N) noisy pictures of shapes at random places, their classes, their pixels'."""
    labels = np.arange(count) % CLASSES
    masks = np.stack(
        [shape(label, rng.integers(5, 7), rng.integers(4, 6)) for label in labels], axis=-1
    )
    x = masks * rng.uniform(0.7, 1.3, count) + 0.2 * rng.standard_normal(masks.shape)
    return x[None].astype(np.float32), labels, np.where(masks, labels + 1, 0)


@pytest.fixture(scope="module")
def data():
    return pictures(np.random.default_rng(1), 320), pictures(np.random.default_rng(2), 160)


def learned(spec, data, name, lr, epochs, *, pixels=False, threads=1, batch=32, **options):
    """Share of the unseen pictures (or pixels) that come out right; losses of the epochs."""
    (x, *labels), (unseen, *wanted) = data
    labels, wanted = labels[pixels], wanted[pixels]
    net = Network(parse(spec), x.shape[:3])
    net.initialise(seed=1)
    optimiser = optim.create(name, net.parameters.size, decaying=decaying(net.places), **options)
    rng, losses = np.random.default_rng(3), []
    with watchdog(60), TrainingStep(net, optimiser, threads=threads, seed=1) as step:
        for _ in range(epochs):
            order = rng.permutation(x.shape[-1])
            parts = [order[first : first + batch] for first in range(0, len(order), batch)]
            losses.append(np.mean([step(x[..., p], labels[..., p], lr) for p in parts]))
        with Predictor(net, threads=threads) as predict:
            found = predict(unseen).argmax(axis=0)
    return float((found == wanted).mean()), losses


RESNET = (
    "conv 8 3 pad=1 bias=no | batchnorm | relu | "
    "residual(conv 8 3 pad=1 bias=no | batchnorm | relu | conv 8 3 pad=1 bias=no | batchnorm) | "
    "relu | residual(conv 16 3 2 pad=1 bias=no | batchnorm | relu | conv 16 3 pad=1 bias=no | "
    "batchnorm, conv 16 1 2 bias=no | batchnorm) | relu | globalavgpool | flatten | dense 8"
)
UNET = (
    "conv 8 3 pad=1 bias=no | batchnorm | relu | "
    "skip(maxpool 2 | conv 16 3 pad=1 bias=no | batchnorm | relu | deconv 8 2 2) | "
    "conv 12 3 pad=1 bias=no | batchnorm | relu"
)
SEGNET = (
    "conv 16 3 pad=1 bias=no | batchnorm | relu | pooled 2 (conv 16 3 pad=1 bias=no | batchnorm | "
    "relu | pooled 2 (conv 16 3 pad=1 | relu) | conv 16 3 pad=1 bias=no | batchnorm | relu) | "
    "conv 16 3 pad=1 bias=no | batchnorm | relu"
)
INCEPTION = (
    "concat(conv 6 1 | relu, conv 4 3 pad=1 | relu | conv 8 3 pad=1 | relu, maxpool 3 1 pad=1 | "
    "conv 4 1 | relu) | lrn 3 | maxpool 2 | separable 16 3 pad=1 | leakyrelu 0.1"
)
NETWORKS = {
    "lenet5": (f"pad 8:9:8:9 | {create('lenet5', classes=CLASSES).text}", 8),
    "resnet": (RESNET, 12),
    "mlp": ("flatten | dense 64 | relu | dropout 0.2 | dense 32 | relu | dense 8 | softmax", 15),
    "unet": (f"{UNET} | maxpool 2 | flatten | dense 8", 5),
    "inception": (f"{INCEPTION} | flatten | dropout 0.2 | dense 8", 8),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_networks_learn(name, optimiser, data):
    spec, epochs = NETWORKS[name]
    lr, options = (0.02, {"momentum": 0.9}) if optimiser == "sgd" else (0.003, {})
    share, losses = learned(spec, data, optimiser, lr, epochs, weight_decay=1e-4, **options)
    assert share > 0.95, losses
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("spec", [UNET, SEGNET], ids=["unet", "segnet"])
def test_networks_learn_a_class_for_every_pixel(spec, data):
    share, losses = learned(f"{spec} | conv 9 1", data, "adam", 0.01, 14, pixels=True)
    assert share > 0.95, losses


def test_several_workers_learn_as_well(data):
    share, losses = learned(RESNET, data, "adamw", 0.003, 12, threads=2)
    assert share > 0.95, losses


def test_what_cannot_be_learned_is_not(data):
    """With classes shuffled nothing is left to learn: the measure above measures something."""
    (x, labels, _), rest = data
    shuffled = np.random.default_rng(0).permutation(labels)
    share, _ = learned(NETWORKS["mlp"][0], ((x, shuffled, shuffled), rest), "adam", 0.003, 5)
    assert share < 0.4
