"""ONNX files as models: the same numbers, with what the user says besides."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_specs import networks
from onnx import TensorProto
from onnx_files import bare, graph_file, node
from onnx_imports import W, layers, model, outputs, random, refusal
from small_models import numbers
from torch_networks import CLASSES, golden, narrow

from cnntool.errors import MissingPackage, ModelFileError, OptionError
from cnntool.exchange import comparison, onnx_import, onnx_run
from cnntool.exchange.importing import Wishes
from cnntool.exchange.onnx_export import encode_onnx
from cnntool.exchange.onnx_import import import_onnx, written
from cnntool.models import create
from cnntool.models.torch_names import rename
from cnntool.nn import parse, trace
from cnntool.nn.saved_model import Preprocessing, SavedModel

# --- there and back


@settings(deadline=None, max_examples=25)
@given(networks(), st.integers(0, 2**32 - 1))
def test_random_networks_by_their_operators(tmp_path_factory, found, seed):
    """Texts left out, a network comes back with the same outputs."""
    text, shape = found
    input = (3, *shape[1:])
    spec = f"conv {shape[0]} 1 | {text}"
    saved = SavedModel(spec=spec, input=input, tensors=numbers(spec, input, seed))
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    path.write_bytes(bare(encode_onnx(saved)))
    try:
        back, _ = import_onnx(str(path), Wishes())
    except ModelFileError as error:  # what ONNX has no one word for
        assert "node '" in str(error), str(error)
        return
    x = np.random.default_rng(seed).random((*input, 3), dtype=np.float32)
    expected = outputs(saved, x)
    np.testing.assert_allclose(
        outputs(back, x), expected, rtol=1e-4, atol=1e-5 + 1e-5 * np.abs(expected).max()
    )


OURS = [
    "deform 4 3 pad=1 | relu", "local 2 3 | tanh", "lrn 4", "sumpool 2 ceil=yes",
    "conv 4 3 pad=1 padmode=max", "conv 4 3 pad=2 padmode=circular", "maxpool 2 depth=2",
    "adaptiveavgpool 3x4", "dropout 0.3 | conv 4 3", "conv 4 2 depth=2 | flatten | dense 3",
]  # fmt: skip


@pytest.mark.parametrize("spec", OURS)
def test_our_own_files_come_back_whole(spec, file):
    """The texts tell the network where operators do not, and are checked like them."""
    pytest.importorskip("onnxruntime")
    saved = model(spec, task="segment" if "flatten" not in spec else "classify")
    back, told = import_onnx(file(encode_onnx(saved)), Wishes())
    assert back.spec == spec and back.input == saved.input
    assert all(np.array_equal(back.tensors[name], a) for name, a in saved.tensors.items())
    assert "largest difference" in told


def test_classes_and_preprocessing_come_back(file):
    how = Preprocessing(color="gray", fit="pad", mean=(0.1,), std=(0.3,), brightness=0.2)
    saved = model(
        "conv 2 3 | flatten | dense 2", (1, 7, 6), classes=("cat", "Köln"), preprocessing=how,
        name="own-net",
    )  # fmt: skip
    for samples in (None, "uint8", "float"):
        path = file(encode_onnx(saved, samples=samples))
        back, _ = import_onnx(path, Wishes())
        assert (back.classes, back.preprocessing, back.name) == (saved.classes, how, "own-net")
        assert back.history["source"] == "net.onnx"
    back, _ = import_onnx(path, Wishes(classes=("a", "b"), mean=(0.5,)))
    assert back.classes == ("a", "b") and back.preprocessing.mean == (0.5,)
    with pytest.raises(OptionError, match=r"there are 3 class names \('a' to 'c'\), and the netw"):
        import_onnx(path, Wishes(classes=("a", "b", "c")))
    with pytest.raises(OptionError, match="says the shape of its input itself; leave --input out"):
        import_onnx(path, Wishes(input=(1, 9, 9)))


def test_texts_that_lie_are_found_out(file):
    """A file whose texts name another network than its operators is not imported."""
    data = onnx.load_model_from_string(encode_onnx(model("conv 3 3 | relu", task="segment")))
    for entry in data.metadata_props:
        if entry.key == "cnntool.specification":
            entry.value = "conv 3 3 | tanh"
    words = refusal(file(data.SerializeToString()))
    assert words.startswith("not written, because its outputs differ: with ")


def test_texts_that_are_damaged_leave_the_operators(file):
    data = onnx.load_model_from_string(encode_onnx(model("conv 3 3 | relu")))
    for entry in data.metadata_props:
        if entry.key == "cnntool.classes":
            entry.value = "["
    assert import_onnx(file(data.SerializeToString()), Wishes())[0].spec == "conv 3 3 | relu"


@pytest.mark.parametrize("name", ["vgg11", "alexnet", "resnet18", "googlenet"])
def test_networks_of_torch(name, file):
    """Narrow copies of torchvision's networks, with torch's own logits as the judge."""
    state, x, logits = golden(name)
    text = written(narrow(create(name, classes=CLASSES).chain))
    tensors = rename(state, name, trace(parse(text), x.shape[:3]))
    saved = SavedModel(spec=text, input=x.shape[:3], tensors=tensors)
    back, _ = import_onnx(file(bare(encode_onnx(saved))), Wishes())
    np.testing.assert_allclose(outputs(back, x), logits, rtol=0, atol=1e-4 * np.abs(logits).max())


def test_numbers_come_out_right(file, rng):
    """What was multiplied in or added on is in the weights, whatever the check says."""
    nodes = [node("Sub", "x m", "a"), node("Div", "a s", "d"), node("Conv", "d w b", "y")]
    arrays = {**W, "m": random(3, 1, 1), "s": np.float32([[[2]], [[3]], [[0.5]]])}
    saved, _ = import_onnx(file(graph_file(nodes, arrays)), Wishes())
    x = rng.standard_normal((3, 8, 6, 2)).astype(np.float32)
    m, s = (arrays[name].reshape(3, 1, 1, 1) for name in "ms")
    plain = SavedModel(
        spec="conv 4 3", input=(3, 8, 6),
        tensors={"0.conv.weight": arrays["w"], "0.conv.bias": arrays["b"]},
    )  # fmt: skip
    np.testing.assert_allclose(outputs(saved, x), outputs(plain, (x - m) / s), rtol=1e-4, atol=1e-4)


def test_types_and_batches(file):
    relu = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
    for batch in (1, 4, 20, "N", None):
        assert layers(relu, {"w": W["w"]}, file=file, batch=batch) == "conv 4 3 bias=no | relu"
    flat = [node("Reshape", "x t", "f"), node("Gemm", "f w", "y")]
    arrays = {"t": np.int64([1, -1]), "w": random(144, 2)}
    assert layers(flat, arrays, file=file, batch=1) == "flatten | dense 2 bias=no"
    cast = [node("Cast", "x", "f", to=TensorProto.FLOAT), node("Conv", "f w", "y")]
    saved, _ = import_onnx(file(graph_file(cast, W, kind=TensorProto.UINT8)), Wishes())
    assert saved.preprocessing.scale == 1, "it takes samples as they are"
    half = {"w": W["w"].astype(np.float16)}
    data = graph_file([node("Conv", "x w", "y")], half, kind=TensorProto.FLOAT16)
    saved, _ = import_onnx(file(data), Wishes())
    assert saved.tensors["0.conv.weight"].dtype == np.float32


def test_sizes_of_an_enlargement(file):
    """torch gives sizes instead of factors; with a fixed batch they name it too."""
    torch = {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
    nodes, sizes = [node("Resize", "x - - s", "y", **torch)], {"s": np.int64([1, 3, 16, 12])}
    assert layers(nodes, sizes, file=file, batch=1) == "upsample 2 mode=bilinear"


def test_open_sizes(file):
    data = graph_file([node("Conv", "x w", "y")], W, (3, "H", "W"))
    path = file(data)
    with pytest.raises(OptionError, match="leaves sizes of its input open; give them: --input CxH"):
        import_onnx(path, Wishes())
    assert import_onnx(path, Wishes(input=(3, 9, 7)))[0].input == (3, 9, 7)
    with pytest.raises(OptionError, match=r"its input is 3×\?×\?; --input says otherwise"):
        import_onnx(path, Wishes(input=(1, 9, 7)))


def test_wishes(file):
    path = file(
        graph_file([node("Flatten", "x", "f"), node("Gemm", "f w", "y")], {"w": random(144, 2)})
    )
    saved, _ = import_onnx(
        path, Wishes(mean=(0.5,), std=(1, 2, 3), scale=0.5, fit="crop", classes=("a", "b"))
    )
    assert saved.preprocessing == Preprocessing(
        fit="crop", scale=0.5, mean=(0.5,) * 3, std=(1, 2, 3)
    )
    assert saved.classes == ("a", "b") and saved.task == "classify"
    with pytest.raises(OptionError, match="--std has 2 numbers; pictures have 3 channels"):
        import_onnx(path, Wishes(std=(1, 2)))


@pytest.mark.parametrize(("nodes", "shape", "task"), [
    ([node("Conv", "x w", "y")], (3, 8, 6), "segment"),
    ([node("Reshape", "x t", "y")], (48,), "generate"),
])  # fmt: skip
def test_tasks_by_shapes(nodes, shape, task, file):
    arrays = {"w": random(2, 3, 1, 1), "t": np.int64([0, 3, 4, 4])}
    saved, _ = import_onnx(file(graph_file(nodes, arrays, shape)), Wishes())
    assert saved.task == task


@pytest.mark.parametrize(("shape", "nodes", "words"), [
    ((2, 8, 6), [node("Relu", "x", "y")], "2×8×6: 2 channels; models here take grey"),
    ((9,), [node("Relu", "x", "y")], "takes vectors of 9 numbers and tells classes; models here"),
])  # fmt: skip
def test_inputs_that_are_no_pictures(shape, nodes, words, file):
    with pytest.raises(OptionError, match=words):
        import_onnx(file(graph_file(nodes, (), shape)), Wishes())


# --- checks


def test_a_wrong_network_is_not_written(file, monkeypatch):
    path = file(graph_file([node("Conv", "x w", "y")], W))
    broken = onnx_run.Runner.__call__
    monkeypatch.setattr(
        onnx_run.Runner, "__call__", lambda self, x: broken(self, x) + np.float32(0.01)
    )
    assert refusal(path).startswith("not written, because its outputs differ: with onnx")


def test_checks_that_need_onnxruntime(file, monkeypatch):
    monkeypatch.setattr(onnx_run, "has_onnxruntime", lambda: False)
    monkeypatch.setattr(onnx_import, "has_onnxruntime", lambda: False)
    path = file(graph_file([node("LRN", "x", "y", size=3)]))
    with pytest.raises(
        MissingPackage, match=r"checking it needs onnxruntime \(the reference of on"
    ):
        import_onnx(path, Wishes())
    path = file(graph_file([node("Conv", "x w", "y")], W))
    assert "the reference of onnx" in import_onnx(path, Wishes())[1]


@pytest.mark.parametrize(("largest", "fits"), [(1e-5, True), (1e-3, False), (float("nan"), False)])
def test_tolerance(largest, fits):
    found = comparison.Difference(largest, 2.0, "x on 3 random inputs")
    if fits:
        found.check("'a'")
    else:
        with pytest.raises(
            ModelFileError, match="'a': not written, because its outputs differ: wi"
        ):
            found.check("'a'")


def test_specifications_for_people():
    assert written(parse("relu | relu | tanh")) == "relu | relu | tanh"
    assert written(parse("(conv 4 3 | relu)*5 | tanh")) == "(conv 4 3 | relu)*5 | tanh"
    long = written(parse(" | ".join(f"conv {n} 3 pad=1 bias=no" for n in range(1, 30))))
    assert all(len(line) <= 120 for line in long.splitlines()) and "\n" in long
    assert parse(long) == parse(long.replace("\n", " | "))
