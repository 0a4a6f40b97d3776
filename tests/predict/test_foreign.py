"""Files that are no models of ours are told for what they are, without being read."""

import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from cnntool.predict.foreign import foreign


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        for name in names:
            members.writestr(name, bytes(20))
    return file.getvalue()


def array(values):
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def picture(format):
    file = io.BytesIO()
    Image.new("L", (3, 2)).save(file, format)
    return file.getvalue()


PICKLE = "which can run code when it is loaded; cnntool never unpickles"
# the first bytes of what torch.save wrote before it wrote archives: a pickled number
OLD_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)

FILES = {
    "torch": (archive("x/data.pkl", "x/version"), f"a PyTorch file: a pickle, {PICKLE}"),
    "torchscript": (archive("x/data/0", "x/constants.pkl"), f"a PyTorch file: a pickle, {PICKLE}"),
    "old torch": (OLD_TORCH, f"a PyTorch file: a pickle, {PICKLE}"),
    "pickle": (pickle.dumps({"a": [1]}), f"a pickle of Python objects, {PICKLE}"),
    "pickle 2": (pickle.dumps([1, "a"], 2), f"a pickle of Python objects, {PICKLE}"),
    "pickled tuple": (pickle.dumps((1, None), 3), f"a pickle of Python objects, {PICKLE}"),
    "objects": (
        array(np.array([{}], object)),
        f"an .npy file of Python objects: a pickle, {PICKLE}",
    ),
    "records": (
        array(np.array([(1, {})], [("n", "<i4"), ("o", "O")])),
        f"an .npy file of Python objects: a pickle, {PICKLE}",
    ),
    "npy": (array(np.ones((2, 3))), "an .npy file: one array without a network"),
    "npz": (archive("w.npy", "b.npy"), "an .npz file: arrays without a network"),
    "keras": (archive("metadata.json", "config.json", "model.weights.h5"), "a Keras file"),
    "zip": (archive("a.txt"), "a ZIP archive"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file, as Keras writes them"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x05" + bytes(40), "an ONNX file"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "a TensorFlow Lite file"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(40), "a GGUF file"),
    "gz": (gzip.compress(b"x" * 50), "a gzip file"),
    "png": (picture("PNG"), "a PNG picture; the model comes first, then what it is used on"),
    "jpeg": (picture("JPEG"), "a JPEG picture; the model comes first, then what it is used on"),
    "text": ("conv 6 5 | relu\nünd so on\n".encode(), "a text file"),
    "long text": (b"a" * 1023 + "ü".encode() * 9, "a text file"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_kinds(name):
    data, kind = FILES[name]
    assert foreign(data) == kind
    assert foreign(bytearray(data)) == kind


@pytest.mark.parametrize("data", [
    b"", b"\0" * 100, bytes(range(256)), b"\x10\0\0\0\0\0\0\0{\"a\": 1}        ", b"\x80\x02",
], ids=["nothing", "zeros", "bytes", "safetensors", "short"])  # fmt: skip
def test_others_stay_unnamed(data):
    assert foreign(data) == ""


def test_beginnings_of_every_length():
    """However a file is cut, there is an answer."""
    for data, _ in FILES.values():
        for length in range(min(len(data), 60)):
            assert isinstance(foreign(data[:length]), str)
