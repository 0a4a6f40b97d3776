"""Networks as ONNX, computed by onnxruntime and by onnx's reference, against loops."""

import json
import sys

import numpy as np
import onnx
import pytest
from layer_contracts import LAYER_CASES
from network_specs import TAILS
from small_models import numbers

from cnntool.errors import MissingPackage, OptionError
from cnntool.exchange import onnx_run
from cnntool.exchange.onnx_export import IR, OPSET, encode_onnx
from cnntool.exchange.onnx_run import NotComputed
from cnntool.exchange.onnx_words import WORDS
from cnntool.nn import parse
from cnntool.nn.layer_words import LAYERS
from cnntool.nn.network import Network
from cnntool.nn.saved_model import HogFeatures, Preprocessing, SavedModel
from cnntool.predict.preprocess import Preprocessor

ENGINES = {"onnxruntime": onnx_run._onnxruntime, "reference": onnx_run._reference}


def model(spec, input=(3, 8, 6), **fields):
    return SavedModel(spec=spec, input=input, tensors=numbers(spec, input), **fields)


def computed(data, x, engine="onnxruntime"):
    """Outputs (…, N) for inputs (…, N)."""
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    try:
        _, run = ENGINES[engine](data)
    except NotComputed as error:
        pytest.skip(str(error))
    return np.moveaxis(run(np.ascontiguousarray(np.moveaxis(x, -1, 0))), 0, -1)


def test_every_word_has_operators():
    assert WORDS.keys() == LAYERS.keys()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: f"{case.text} {case.shape}")
def test_every_layer_against_loops(case, engine, rng):
    arrays = case.arrays(rng)
    name = case.row.name
    tensors = {f"{name}.{own}": array.astype(np.float32) for own, array in arrays.items()}
    saved = SavedModel(spec=case.text, input=case.shape, tensors=tensors)
    x = case.input(rng, 3).astype(np.float32)
    expected = case.loops(x.astype(np.float64), **arrays)
    found = computed(encode_onnx(saved), x, engine)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max() + 1e-6)


JOINTS = [
    "residual(conv 3 3 pad=1 | relu) | relu",
    "residual(conv 5 3 2 pad=1 | batchnorm, conv 5 1 2) | relu6",
    "concat(conv 2 1, conv 3 3 pad=1 | relu | conv 1 1, maxpool 3 1 pad=1)",
    "conv 4 3 pad=1 | skip(maxpool 2 | conv 5 3 pad=1 | deconv 4 2 2)",
    "pooled 2x3 (conv 3 3 pad=1 | relu)",
    "conv 4 1 | pooled 3 (pooled 2 (conv 4 1) | tanh)",
    "(residual(separable 3 3 pad=1))*2 | adaptiveavgpool 3x4",
    "residual(residual(conv 3 1), skip(conv 2 1) | conv 3 1)",
    *(f"conv 4 3 | {tail.format(maps=4)}" for tail in TAILS if tail),
]


@pytest.mark.parametrize("spec", JOINTS)
def test_joints_of_branches(spec, rng):
    saved = model(spec)
    network = Network(parse(spec), saved.input)
    network.load(saved.tensors)
    x = rng.standard_normal((*saved.input, 4)).astype(np.float32)
    np.testing.assert_allclose(
        computed(encode_onnx(saved), x), network.predict(x), rtol=1e-4, atol=1e-5
    )


def test_any_batch(rng):
    data = encode_onnx(model("conv 4 3 | relu | flatten | dense 2"))
    x = rng.random((3, 8, 6, 5), dtype=np.float32)
    whole = computed(data, x)
    for count in (1, 2, 5):
        np.testing.assert_allclose(computed(data, x[..., :count]), whole[..., :count], rtol=1e-5)


@pytest.mark.parametrize("samples", ["uint8", "float"])
def test_preprocessing_inside(samples, rng):
    how = Preprocessing(scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    saved = model("conv 4 3 | relu | flatten | dense 2", preprocessing=how)
    pictures = rng.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    network = Network(parse(saved.spec), saved.input)
    network.load(saved.tensors)
    expected = network.predict(Preprocessor.of(saved).prepare(pictures))
    data = encode_onnx(saved, samples=samples)
    x = pictures if samples == "uint8" else pictures.astype(np.float32)
    np.testing.assert_allclose(computed(data, x), expected, rtol=1e-4, atol=1e-5)


def test_what_the_file_says():
    how = Preprocessing(color="gray", mean=(0.5,), std=(0.25,))
    saved = model(
        "conv 4 3 | flatten | dense 3", (1, 7, 6), classes=("a", "b", "ç"), preprocessing=how,
        name="tiny", history={"accuracy": "0.5"},
    )  # fmt: skip
    made = onnx.load_model_from_string(encode_onnx(saved))
    onnx.checker.check_model(made, full_check=True)
    assert made.ir_version == IR and [o.version for o in made.opset_import] == [OPSET]
    assert made.producer_name == "cnntool"
    told = {entry.key: entry.value for entry in made.metadata_props}
    assert told["cnntool.specification"] == saved.spec
    assert json.loads(told["cnntool.classes"]) == ["a", "b", "ç"]
    assert json.loads(told["cnntool.preprocessing"])["mean"] == [0.5]
    assert "cnntool.samples" not in told
    (given,), (gives,) = made.graph.input, made.graph.output
    sizes = [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim]
    assert given.name == "input" and sizes == ["N", 1, 7, 6]
    sizes = [size.dim_param or size.dim_value for size in gives.type.tensor_type.shape.dim]
    assert gives.name == "output" and sizes == ["N", 3]
    arrays = {a.name: onnx.numpy_helper.to_array(a) for a in made.graph.initializer}
    for name, array in saved.tensors.items():
        assert arrays[name].tobytes() == array.tobytes(), "weights are untouched"


def test_equal_models_give_equal_bytes():
    assert encode_onnx(model("conv 4 3 | relu")) == encode_onnx(model("conv 4 3 | relu"))


def test_features_have_no_pictures():
    features = HogFeatures(size=(24, 32))
    how = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    saved = model("dense 3", (features.length,), features=features, preprocessing=how)
    with pytest.raises(OptionError, match="takes features or vectors and no pictures, so there is"):
        encode_onnx(saved, samples="uint8")
    x = np.ones((features.length, 2), np.float32)
    assert computed(encode_onnx(saved), x).shape == (3, 2)


def test_weights_that_no_file_holds(monkeypatch):
    monkeypatch.setattr("cnntool.exchange.onnx_export.MAX_BYTES", 64 << 20)
    with pytest.raises(OptionError, match=r"its weights have \d+ bytes; an ONNX file holds less"):
        encode_onnx(model("conv 4 3"))


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx.checker", None)
    with pytest.raises(
        MissingPackage, match=r"need the package onnx; pip install 'cnntool\[onnx\]'"
    ):
        encode_onnx(model("conv 4 3"))


# --- who computes


def test_engines_by_what_is_installed(monkeypatch):
    data = encode_onnx(model("conv 4 3"))
    monkeypatch.setattr(onnx_run, "has_onnxruntime", lambda: False)
    assert onnx_run.Runner(data).name == f"the reference of onnx {onnx.__version__}"
    runtime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnx_run, "has_onnxruntime", lambda: True)
    assert onnx_run.Runner(data).name == f"onnxruntime {runtime.__version__}"


@pytest.mark.parametrize("spec", ["lrn 3", "deconv 4 2 groups=2", "deform 3 3"])
def test_what_the_reference_computes_wrongly(spec, monkeypatch):
    monkeypatch.setattr(onnx_run, "has_onnxruntime", lambda: False)
    with pytest.raises(NotComputed, match=r"the reference of onnx \S+ errs at (LRN|ConvT|GridS)"):
        onnx_run.Runner(encode_onnx(model(spec, (4, 8, 6))))


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_that_do_not_fit(engine, monkeypatch):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnx_run, "has_onnxruntime", lambda: engine == "onnxruntime")
    runner = onnx_run.Runner(encode_onnx(model("conv 4 3 | flatten | dense 2")))
    with pytest.raises(NotComputed, match=r"onnx.*: .+"):
        runner(np.zeros((1, 3, 9, 9), np.float32))
