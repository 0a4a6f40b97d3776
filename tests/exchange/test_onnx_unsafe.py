"""ONNX files that are unsafe or damaged: nothing is run, nothing elsewhere is read."""

import contextlib
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_files import graph_file, node
from onnx_imports import W, refusal

from cnntool.errors import InputError, ModelFileError, OptionError
from cnntool.exchange.importing import Wishes
from cnntool.exchange.onnx_import import import_onnx


def changed(**fields):
    """A file with other parts."""
    made = onnx.load_model_from_string(graph_file([node("Conv", "x w", "y")], W))
    for name, change in fields.items():
        change(getattr(made, name))
    return made.SerializeToString()


def test_custom_operators(file):
    def custom(graph):
        graph.node[0].domain = "com.evil"

    assert refusal(file(changed(graph=custom))) == (
        "node 'Conv_y' is of the domain 'com.evil': a custom operator (Conv), whose code is not in "
        "the file"
    )


def test_functions_subgraphs_and_sparse_arrays(file):
    inside = helper.make_graph([], "g", [], [])
    data = graph_file(
        [helper.make_node("If", ["x"], ["y"], then_branch=inside, else_branch=inside)]
    )
    assert "has the attribute '" in refusal(file(data)) and "a graph" in refusal(file(data))
    made = onnx.load_model_from_string(graph_file([node("Relu", "x", "y")]))
    made.functions.append(helper.make_function("d", "f", [], [], [], []))
    assert refusal(file(made.SerializeToString())).startswith("it defines 1 functions of its own")
    made = onnx.load_model_from_string(graph_file([node("Relu", "x", "y")]))
    made.graph.sparse_initializer.append(onnx.SparseTensorProto())
    assert refusal(file(made.SerializeToString())) == "its arrays are sparse; store them whole"


def test_inputs_outputs_and_opsets(file):
    def twice(graph):
        graph.output.append(graph.output[0])

    assert refusal(file(changed(graph=twice))).startswith("it has 1 inputs and 2 outputs; networks")
    data = graph_file([node("Relu", "x", "y")], opset=3)
    assert refusal(file(data)) == "its operators are of opset 3; 7 to 26 are read"
    data = graph_file([node("Relu", "x", "y")], (), (3, 4, 5, 6))
    assert refusal(file(data)).startswith("its input has 5 axes; possible are N×C×H×W for pictures")
    data = graph_file([node("Relu", "x", "y")], kind=TensorProto.INT32)
    assert refusal(file(data)).startswith("its input is int32; possible are float16, float32,")
    assert refusal(file(b"")).startswith("no ONNX network: it has no operators")
    assert refusal(file(b"\xff" * 30)).startswith("no ONNX file, or damaged: ")


def test_arrays_that_lie(file):
    def cut(graph):
        graph.initializer[0].raw_data = graph.initializer[0].raw_data[:-4]

    def negative(graph):
        graph.initializer[0].dims[0] = -4

    def double(graph):
        graph.initializer.append(graph.initializer[0])

    assert refusal(file(changed(graph=cut))).startswith("array 'w' is damaged: ")
    assert refusal(file(changed(graph=negative))) == "array 'w' has an impossible shape"
    assert refusal(file(changed(graph=double))) == "array 'w' is there twice"


def test_too_much(file, monkeypatch):
    monkeypatch.setattr("cnntool.exchange.onnx_reading.MAX_NODES", 0)
    assert refusal(file(changed())).startswith("1 operators and 2 arrays; at most 0 and 20000 are")


@pytest.fixture
def outside(tmp_path):
    """A file whose weights lie beside it, as torch writes them; told where, and how long."""

    def write(location="w.bin", **told):
        made = onnx.load_model_from_string(graph_file([node("Conv", "x w", "y")], {"w": W["w"]}))
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **told}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        path = tmp_path / "in" / "net.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(made.SerializeToString())
        (tmp_path / "in" / "w.bin").write_bytes(b"1234" + W["w"].tobytes())
        (tmp_path / "secret.bin").write_bytes(b"1234" + W["w"].tobytes())
        return str(path)

    return write


def test_weights_beside_the_file(outside):
    saved, _ = import_onnx(outside(offset="4", length=str(W["w"].nbytes)), Wishes())
    assert np.array_equal(saved.tensors["0.conv.weight"], W["w"])


def test_weights_elsewhere(outside, tmp_path):
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "", "a/../../secret.bin"):
        words = refusal(outside(location, offset="4"))
        assert "outside of the file's own folder; that is never read" in words
    path = outside("link.bin", offset="4")
    os.symlink(tmp_path / "secret.bin", tmp_path / "in" / "link.bin")
    assert "a link out of the file's folder" in refusal(path)


def test_weights_that_are_not_there(outside):
    with pytest.raises(
        InputError, match=r"array 'w' lies in '.*gone.bin', which cannot be read: no"
    ):
        import_onnx(outside("gone.bin"), Wishes())
    assert "w.bin' has 436 bytes, 437 are needed" in refusal(outside(offset="5"))
    assert refusal(outside(length="7")) == "array 'w' has 7 bytes; its shape needs 432"
    assert refusal(outside(offset="-5")) == "damaged: '-5' is no number of bytes"


def test_texts_that_are_none(file, capfd):
    """Damaged texts are shown as far as they can be; what computes stays silent."""
    data = graph_file([node("HardSwish", "x", "y")]).replace(b"HardSwish_y", b"HardSwish\xff\xfe")
    assert refusal(file(data)).startswith("node 'HardSwish��' (HardSwish): which no layer does")
    data = graph_file([node("Relu", "x", "y")]).replace(b"Relu_y", b"Relu\xff\xfe")
    with contextlib.suppress(ModelFileError):
        import_onnx(file(data), Wishes())
    assert capfd.readouterr().out == ""


def test_attributes_that_are_missing(file):
    nodes = [helper.make_node("MaxPool", ["x"], ["y"], name="n")]
    assert refusal(file(graph_file(nodes))) == (
        "node 'n' (MaxPool): its attributes or constants do not fit it"
    )


def test_cut_and_flipped_files(file, rng):
    data = graph_file([node("Conv", "x w b", "c"), node("Relu", "c", "y")], W)
    damaged = [data[:length] for length in range(0, len(data), 23)]
    for _ in range(60):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for changes in damaged:
        try:
            import_onnx(file(changes), Wishes())
        except (ModelFileError, OptionError) as error:
            assert "\n" not in str(error)
