"""The whole engine on the stand-in for CuPy: the numbers of NumPy, and nothing that waits."""

import device_double
import numpy as np
import pytest
from hypothesis import given, settings
from network_specs import filled, networks, passed

from cnntool.backend import Backend
from cnntool.errors import ModelFileError, ShapeError
from cnntool.nn import optim, parse
from cnntool.nn.loss import Loss
from cnntool.nn.network import Network
from cnntool.nn.optimiser import decaying
from cnntool.nn.predictor import Predictor
from cnntool.nn.step import TrainingStep
from cnntool.ops import conv_plan, im2col, normalization, products

SPEC = (
    "conv 6 3 pad=1 bias=no | batchnorm | relu | dropout 0.2 | conv 4 3 | relu | maxpool 2 | "
    "residual(conv 4 3 pad=1 | batchnorm | relu | conv 4 3 pad=1, conv 4 1) | relu | "
    "skip(conv 3 1 | sigmoid) | flatten | dense 8 bias=no | batchnorm | relu | dense 3"
)
EVERYTHING = (
    "lrn 3 | pad 1:0:0:1 | concat(conv 4 3x2 pad=same, depthwise 3 pad=1 | tanh, separable 3 3 "
    "pad=1 | leakyrelu 0.1, maxpool 3 1 pad=1) | pooled 2 (conv 11 3 pad=1 | relu6) | "
    "deconv 4 2 2 | avgpool 2 | conv 4 2 depth=2 dstride=2 | batchnorm | relu | "
    "conv 4 3 2 pad=1 padmode=reflect groups=4 | upsample 2 mode=bilinear | local 2 2 | "
    "adaptiveavgpool 3x2 | reshape 3x2x2 | conv 5 1 | relu | globalavgpool | flatten | dense 3"
)
SHAPE = (2, 9, 14)
STEPS = 50


DOUBLE = Backend(device_double.fake, "gpu:0", is_gpu=True, device=device_double.fake.cuda.Device(0))


@pytest.fixture
def gpu(double_as_gpu):
    return double_as_gpu


def use_one_way(monkeypatch):
    """The same products in the same order everywhere: no strips, no cuts, one algorithm."""
    monkeypatch.setattr(conv_plan, "choose_algorithm", lambda *_: "im2col")
    monkeypatch.setattr(im2col, "PATCH_BYTES", 1 << 40)
    monkeypatch.setattr(normalization, "BLOCK_BYTES", 1 << 40)
    monkeypatch.setattr(products, "_IN_PLACE", 1 << 60, raising=False)


def trained(device, name, *, check=None, spec=SPEC, steps=STEPS, **options):
    """Losses and all arrays after some steps; ``check`` surrounds each of them."""
    net = Network(parse(spec), SHAPE, device=device)
    net.load(filled(spec, SHAPE, dtype=np.float32).state())
    optimiser = optim.create(
        name, net.parameters.size, net.device.xp, decaying=decaying(net.places), **options
    )
    rng, losses = np.random.default_rng(4), []
    with TrainingStep(net, optimiser, threads=1, seed=6, loss=Loss(label_smoothing=0.1)) as step:
        for _ in range(steps):
            x = net.device.to_device(rng.standard_normal((*SHAPE, 5)).astype(np.float32))
            labels = net.device.to_device(rng.integers(0, 3, 5))
            with check() if check else device_double.no_transfers(allow_float64=True):
                losses.append(step(x, labels, lr=0.02))
    return np.array([float(loss) for loss in losses]), net.state()


OPTIMISERS = [
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    ("adam", {"weight_decay": 1e-3}),
    ("adamw", {}),
]


@pytest.mark.parametrize("name, options", OPTIMISERS, ids=[name for name, _ in OPTIMISERS])
def test_fifty_steps_are_the_same_to_the_last_bit(gpu, name, options, monkeypatch):
    """With one algorithm; each step makes no transfer, no wait and no float64."""
    use_one_way(monkeypatch)
    losses, arrays = trained(gpu, name, check=device_double.no_transfers, **options)
    wanted, expected = trained(None, name, **options)
    assert losses.astype(np.float32).tobytes() == wanted.astype(np.float32).tobytes()
    for array_name, array in expected.items():
        assert arrays[array_name].tobytes() == array.tobytes(), array_name
    assert wanted[-1] != wanted[0]


@pytest.mark.parametrize("name, options", OPTIMISERS[:2], ids=["sgd", "adam"])
def test_fifty_steps_are_the_same_to_rounding(gpu, name, options):
    """With the algorithms that each chooses."""
    losses, arrays = trained(gpu, name, check=device_double.no_transfers, **options)
    wanted, expected = trained(None, name, **options)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    for array_name, array in expected.items():
        assert np.abs(arrays[array_name] - array).max() <= 1e-5 * np.abs(array).max(), array_name


def test_steps_with_many_maps(gpu):
    """Where Winograd's algorithm is chosen."""
    spec = "conv 16 3 pad=1 | relu | conv 17 3 pad=1 | relu | globalavgpool | flatten | dense 3"
    losses, _ = trained(gpu, "sgd", check=device_double.no_transfers, spec=spec, steps=3)
    wanted, _ = trained(None, "sgd", spec=spec, steps=3)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)


def test_steps_of_every_kind_of_layer(gpu):
    losses, arrays = trained(gpu, "sgd", check=device_double.no_transfers, spec=EVERYTHING, steps=3)
    wanted, expected = trained(None, "sgd", spec=EVERYTHING, steps=3)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    for array_name, array in expected.items():
        assert np.abs(arrays[array_name] - array).max() <= 2e-5 * np.abs(array).max(), array_name


@given(networks())
@settings(max_examples=25, derandomize=True, database=None)
def test_random_networks(network):
    """Outputs and all gradients of a training pass, without a transfer or a wait."""
    host = filled(*network)
    net = Network(parse(network[0]), network[1], device=DOUBLE, dtype=np.float64)
    net.load(host.state())
    rng = np.random.default_rng(1)
    x, grad_y = (rng.standard_normal((*shape, 3)) for shape in (host.input, host.output))
    wanted = passed(host, x, grad_y)
    gradients = DOUBLE.xp.zeros(net.parameters.shape, dtype=np.float64)
    run = net.run(
        gradients=net.views(gradients),
        training=True, input_gradient=True, keeps_statistics=False, seed=3, step=4,
    )  # fmt: skip
    there = [DOUBLE.to_device(a) for a in (x, grad_y)]
    with device_double.no_transfers(allow_float64=True):
        y, backward = net.forward(there[0], run)
        grad_x = backward(there[1])
    for found, expected in zip((y, grad_x, gradients), wanted, strict=True):
        far = np.abs(DOUBLE.to_host(found) - expected).max(initial=0)
        assert far <= 1e-9 * max(np.abs(expected).max(initial=0), 1e-3)


def test_losses_stay_on_the_device(gpu, rng):
    net = Network(parse("flatten | dense 3"), SHAPE, device=gpu)
    net.initialise(seed=1)
    x = gpu.to_device(rng.standard_normal((*SHAPE, 5)).astype(np.float32))
    with TrainingStep(net, optim.create("sgd", net.parameters.size, gpu.xp), threads=4) as step:
        with device_double.no_transfers():
            loss = step(x, gpu.xp.zeros(5, dtype=np.int32), lr=0.1)
    assert isinstance(loss, device_double.DeviceArray) and loss.shape == ()
    assert loss.dtype == np.float32 and float(loss) > 0


def test_a_class_for_every_pixel(gpu, rng):
    x = rng.standard_normal((*SHAPE, 3)).astype(np.float32)
    labels = rng.integers(0, 4, (*SHAPE[1:], 3))
    labels[2, 3] = -100
    found = []
    for device in (gpu, None):
        net = Network(parse("conv 5 3 pad=1 | relu | conv 4 1"), SHAPE, device=device)
        net.initialise(seed=1)
        there = net.device.to_device(x), net.device.to_device(labels)
        with TrainingStep(net, optim.create("sgd", net.parameters.size, net.device.xp)) as step:
            with device_double.no_transfers():
                loss, gradient = step.gradients(*there)
            found.append((float(loss), net.device.to_host(gradient)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("spec", [SPEC, EVERYTHING], ids=["classes", "everything"])
@pytest.mark.parametrize("fuse", [True, False])
def test_prediction(gpu, spec, fuse, rng):
    host = filled(spec, SHAPE, dtype=np.float32)
    net = Network(parse(spec), SHAPE, device=gpu, fuse=fuse)
    net.load(host.state())
    x = rng.standard_normal((*SHAPE, 7)).astype(np.float32)
    there = gpu.to_device(x)
    wanted = host.predict(x)
    with Predictor(net, threads=4, batch=3) as predict, device_double.no_transfers():
        found = [net.predict(there, batch=4), predict(there)]
    for y in found:
        assert np.abs(gpu.to_host(y) - wanted).max() <= 1e-5 * np.abs(wanted).max()
    small = rng.integers(0, 255, (*SHAPE, 4), np.uint8)
    there, wanted = gpu.to_device(small), host.predict(small)
    with device_double.no_transfers():
        y = net.predict(there)
    assert np.abs(gpu.to_host(y) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_weights_go_there_and_back(gpu):
    host = filled(SPEC, SHAPE, dtype=np.float32)
    net = Network(parse(SPEC), SHAPE, device=gpu)
    net.load(host.state())
    assert isinstance(net.parameters, device_double.DeviceArray)
    again = Network(parse(SPEC), SHAPE, device=gpu)
    again.load(net.tensors)  # from the device itself
    for state in (net.state(), again.state()):
        for name, array in host.state().items():
            assert state[name].tobytes() == array.tobytes(), name
    net.initialise(seed=5)
    host.initialise(seed=5)
    for name, array in host.state().items():
        assert net.state()[name].tobytes() == array.tobytes(), name


def test_what_is_refused(gpu):
    net = Network(parse(SPEC), SHAPE, device=gpu)
    state = net.state()
    state["0.conv.weight"] = state["0.conv.weight"][:, :1]
    with pytest.raises(ModelFileError, match=r"0\.conv\.weight has shape \(6, 1, 3, 3\), the net"):
        net.load(state)
    with pytest.raises(ShapeError, match="the network takes inputs 2×9×14, got 9×8×2"):
        net.predict(gpu.xp.zeros((9, 8, 2, 5), dtype=np.float32))


def test_gradients_of_the_input(gpu, rng):
    """What explanations need, in prediction's mode."""
    x = rng.standard_normal((*SHAPE, 3)).astype(np.float32)
    grad = rng.standard_normal((3, 3)).astype(np.float32)
    found = []
    for device in (gpu, None):
        net = Network(parse(SPEC), SHAPE, device=device)
        net.load(filled(SPEC, SHAPE, dtype=np.float32).state())
        x_there, grad_there = net.device.to_device(x), net.device.to_device(grad.copy())
        with device_double.no_transfers():
            _, backward = net.forward(x_there, net.run(input_gradient=True))
            grad_x = backward(grad_there)
        found.append(net.device.to_host(grad_x))
    assert np.abs(found[0] - found[1]).max() <= 1e-5 * np.abs(found[1]).max()
