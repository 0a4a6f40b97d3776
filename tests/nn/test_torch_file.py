"""Files of torch.save: what PyTorch wrote, what hands and accidents made of it."""

import pathlib
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from sealed_files import flipped
from torch_files import archive, called, instructions, legacy, ordered, pickled, tensor, weights

from cnntool.errors import ModelFileError
from cnntool.nn import torch_file, torch_pickle
from cnntool.nn.torch_file import decode_torch, is_torch_file

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
STATES = ("torch_state.pth", "torch_state_old.pth")


def golden(name):
    return (GOLDEN / name).read_bytes()


def read(data):
    return decode_torch(data, where="'w.pth'")


def refused(data):
    """The reason why a file is not read."""
    with pytest.raises(ModelFileError) as error:
        read(data)
    text = str(error.value)
    assert text.startswith("'w.pth': ") and "\n" not in text and len(text) < 280
    assert error.value.exit_code == 4
    return text.removeprefix("'w.pth': ")


# --- what PyTorch wrote


@pytest.mark.parametrize("name", STATES)
def test_all_types_and_strides(name):
    expected = load_file(GOLDEN / "torch_state.safetensors")
    found = read(golden(name))
    assert set(found) == set(expected)
    assert list(found)[:3] == ["plain", "part", "turned"]
    for key, array in found.items():
        assert array.shape == expected[key].shape, key
        assert array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative, key
        assert np.array_equal(array.astype(expected[key].dtype), expected[key]), key
    types = {key: found[key].dtype.name for key in ("f64", "f16", "bf16", "i8", "yes", "counter")}
    assert types == {
        "f64": "float64", "f16": "float32", "bf16": "float32", "i8": "int8", "yes": "bool",
        "counter": "int64",
    }  # fmt: skip


def test_state_dict_in_a_checkpoint():
    found = read(golden("torch_net.pth"))
    assert list(found) == [
        "0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var",
        "1.num_batches_tracked", "6.weight", "6.bias",
    ]  # fmt: skip
    assert found["0.weight"].shape == (4, 3, 3, 2)


def test_beginnings():
    assert all(is_torch_file(golden(name)) for name in STATES)
    assert not is_torch_file(b"") and not is_torch_file(b"\x80\x02}.")
    assert refused(b"\x80\x02}.").startswith("no file of torch.save: neither a ZIP archive")


# --- accidents


@pytest.mark.parametrize("name", STATES)
def test_truncated_anywhere(name):
    data = golden(name)
    for length in {*range(0, len(data), 7), *range(len(data) - 99, len(data))}:
        refused(data[:length])


def test_flipped_bits_of_an_archive_change_nothing_unnoticed():
    """Numbers and pickle are guarded by CRCs; what is not belongs to the archive's frame."""
    data = golden("torch_state.pth")
    expected = read(data)
    for bit in range(0, 8 * len(data), 17):
        try:
            found = read(flipped(data, bit))
        except ModelFileError as error:
            assert "\n" not in str(error)
            continue
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], array) for key, array in expected.items())


def test_flipped_bits_of_the_older_form_raise_nothing_else():
    data = golden("torch_state_old.pth")
    for bit in range(0, 8 * len(data), 17):
        try:
            read(flipped(data, bit))
        except ModelFileError as error:
            assert "\n" not in str(error)


@given(st.binary(max_size=80))
def test_any_bytes(data):
    for form in (archive, legacy):
        try:
            read(form(b"\x80\x02" + data))
        except ModelFileError as error:
            assert "\n" not in str(error)


# --- files of every kind


ARRAYS = {"a.weight": np.float32([[1, 2, 3], [4, 5, 6]]), "a.bias": np.float32([7, 8])}


@pytest.mark.parametrize("form", [archive, legacy])
def test_by_hand(form):
    found = read(weights(ARRAYS, form))
    assert all(np.array_equal(found[name], array) for name, array in ARRAYS.items())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol):
    data = pickled({"a": tensor("0", (2, 3))}, protocol)
    assert ("MEMOIZE" in instructions(data)) == (protocol >= 4)
    found = read(archive(data, {"0": np.arange(6, dtype="<f4").tobytes()}))
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_ordered_dicts_of_pairs_and_parameters():
    inner = called("torch._utils", "_rebuild_parameter", tensor("0", (2,)), True, ordered())
    found = read(archive(ordered(("w", inner)), {"0": np.float32([1, 2]).tobytes()}))
    assert found["w"].tolist() == [1, 2]


def test_big_endian():
    value, numbers = {"a": tensor("0", (3,))}, np.array([1, 2, 3], ">f4")
    assert read(archive(value, {"0": numbers.tobytes()}, byteorder=b"big"))["a"].tolist() == [
        1,
        2,
        3,
    ]
    assert refused(archive(value, {"0": numbers.tobytes()}, byteorder=b"?")) == (
        "its byte order is neither little nor big"
    )


@pytest.mark.parametrize("value", [
    {"epoch": 3, "model": {"w": tensor("0", (2,))}, "ema": {"v": tensor("0", (1,))}},
    {"anything": {"w": tensor("0", (2,))}},
    {"w": tensor("0", (2,)), "epoch": 3, "args": {"lr": 0.1}},
])  # fmt: skip
def test_where_a_state_dict_may_lie(value):
    assert read(archive(value, {"0": np.float32([1, 2]).tobytes()}))["w"].tolist() == [1, 2]


REFUSED = {
    "list": ([1], "it holds a list, not a state dict"),
    "tensor": (tensor("0", (2,)), "it holds a tensor, not a state dict"),
    "empty": ({}, "it holds no tensors by name; save the state_dict() of a network"),
    "several": (
        {"g": {"a": tensor("0", (2,))}, "d": {"a": tensor("0", (2,))}},
        "it holds several state dicts: 'g', 'd'; save one of them alone",
    ),
    "missing": ({"a": tensor("7", (2,))}, "storage '7' is missing; make or fetch it again"),
    "short": (
        {"a": tensor("0", (3,))},
        "storage '0' has 8 bytes; 3 numbers of F32 need 12",
    ),
    "shape": (
        {"a": tensor("0", (4,), count=2)},
        "its pickle is damaged: a tensor needs 4 numbers of storage '0', which has 2, at byte 149",
    ),
    "stride": (
        {"a": tensor("0", (2, 2), (9, 9), count=2)},
        "its pickle is damaged: a tensor needs 19 numbers of storage '0', which has 2, at byte 153",
    ),
    "negative": (
        {"a": tensor("0", (2,), (-1,), count=2)},
        "its pickle is damaged: a tensor of impossible shape, at byte",
    ),
    "huge": (
        {"a": tensor("0", (1 << 40,), (0,), count=2)},
        "its tensors have 1099511627776 numbers; at most 536870912 are read",
    ),
    "path": (
        {"../x": tensor("0", (2,))},
        "an array is called '../x'; names are printable, at most 512 characters long, and no paths",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_state_dict(name):
    value, words = REFUSED[name]
    assert refused(archive(value, {"0": bytes(8)})).startswith(words)


def test_older_form_must_fit_together():
    value, array = {"a": tensor("0", (2,))}, np.float32([1, 2])
    good = legacy(value, {"0": array})
    assert read(good)["a"].tolist() == [1, 2]
    assert refused(legacy(value, {"0": array}, protocol=7)).startswith("its beginning is not what")
    assert refused(legacy(value, {"0": array}, system=3)).startswith("its beginning is not what")
    assert refused(legacy(value, {"0": array}, keys=7)) == (
        "its list of storages is damaged; make or fetch it again"
    )
    assert refused(legacy(value, {"1": array})) == (
        "storage '1' belongs to no tensor, or stands twice"
    )
    assert refused(legacy(value, {}, keys=[])).startswith("storage '0' is missing, or named with")
    assert refused(legacy(value, {"0": np.float32([1, 2, 3])})) == (
        "storage '0' has 3 numbers, its tensors say 2"
    )
    assert refused(good + b"x") == (
        "1 bytes behind its numbers belong to nothing; make or fetch it again"
    )
    assert refused(good[:-3]) == (
        "truncated: 5 of 8 bytes of storage '0' are there; make or fetch it again"
    )


def test_archives_that_are_none_of_torch(tmp_path, monkeypatch):
    assert refused(archive({}, **{"constants.pkl": b""})).startswith("a TorchScript file, which")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "")
    assert refused(path.read_bytes()) == "a ZIP archive without data.pkl, so not from torch.save"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", "a" * 99)
    assert refused(path.read_bytes()) == (
        "member 'x/data.pkl' is packed or encrypted; torch stores it plain"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", "a")
        file.writestr("y/data.pkl", "a")
    assert refused(path.read_bytes()) == "member 'y/data.pkl' is there twice"
    monkeypatch.setattr(torch_file, "_MOST_MEMBERS", 1)
    assert refused(path.read_bytes()) == "its archive has more than 1 members"
    monkeypatch.setattr(torch_file, "MAX_PICKLE", 5)
    assert refused(archive(b"\x80\x02}....")) == "its pickle has more than 5 bytes"
    assert refused(archive(b"\x80\x02}.x")) == ("1 bytes follow its pickle; make or fetch it again")


def test_members_that_lie_on_one_another():
    """A few kilobytes that would be read a thousand times."""
    keys = [str(number) for number in range(8)]
    data = archive({key: tensor(key, (500,)) for key in keys}, {"0": bytes(2000)})
    end = data.index(b"PK\x05\x06")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    last = data[start:end][data[start:end].rindex(b"PK\x01\x02") :]  # of x/data/0
    copies = b"".join(last.replace(b"x/data/0", f"x/data/{key}".encode()) for key in keys[1:])
    count = (2 + 7).to_bytes(2, "little")
    length = (end - start + len(copies)).to_bytes(4, "little")
    tail = data[end : end + 8] + count + count + length + data[end + 16 :]
    words = refused(data[:end] + copies + tail)
    assert words == "a damaged archive: its members have more bytes than the file"


def test_numbers_shared_with_two_types():
    value = {"a": tensor("0", (2,)), "b": tensor("0", (2,), kind="IntStorage")}
    found = read(archive(value, {"0": np.float32([1, 2]).tobytes()}))
    assert found["b"].dtype == np.int32
    assert refused(legacy(value, {"0": np.float32([1, 2])})).startswith(
        "storage '0' is missing, or named with two types"
    )


# --- pickles that would do something


class TestMalicious:
    """Nothing of a pickle is ever run; tests/cli/test_import.py watches the process do it."""

    @pytest.mark.parametrize(("module", "name"), [
        ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"),
        ("subprocess", "Popen"), ("builtins", "getattr"), ("torch", "load"),
        ("torch._utils", "_rebuild_sparse_tensor"), ("torch.storage", "_load_from_bytes"),
        ("collections", "OrderedDict.update"), ("torch", "FloatTensor"), ("numpy", "frombuffer"),
    ])  # fmt: skip
    def test_foreign_names(self, module, name):
        for form in (archive, legacy):
            assert f"its pickle names '{module}.{name}' at byte" in refused(
                form({"a": called(module, name, "touch trapped")})
            )

    def test_whole_networks(self):
        value = called("torch.nn.modules.container", "Sequential")
        assert refused(archive(value)).endswith(
            "a whole network, which needs its code; save its state_dict() in torch"
        )

    @pytest.mark.parametrize(("code", "name"), [
        (b"ios\nsystem\n.", "INST"), (b"(cos\nsystem\no.", "'os.system'"),
        (b"}\x81.", "NEWOBJ"), (b"}}\x92.", "NEWOBJ_EX"), (b"\x82\x01.", "EXT1"),
        (b"Ppid\n.", "PERSID"), (b"S'a'\n.", "STRING"), (b"\xff", "0xff"), (b"I1\n.", "INT"),
        (b"\x8b" + struct.pack("<i", 9), "LONG4"), (b"2.", "DUP"), (b"\x8f.", "EMPTY_SET"),
    ])  # fmt: skip
    def test_foreign_instructions(self, code, name):
        assert name in refused(archive(b"\x80\x02" + code))

    def test_stacked_names(self):
        code = b"\x80\x04\x8c\x02os\x8c\x06system\x93."
        assert refused(archive(code)).startswith("its pickle names 'os.system' at byte 14, which")

    @pytest.mark.parametrize(("code", "words"), [
        (b"ctorch\nFloatStorage\n(tR.", "FloatStorage is called"),
        (b"}(tR.", "something is called that has no name"),
        (b"ccollections\nOrderedDict\n}R.", "something is called that has no name"),
        (b"ccollections\nOrderedDict\nK\x01\x85R.", "an OrderedDict of what are no pairs"),
        (b"ccollections\nOrderedDict\n]K\x01a\x85R.", "an OrderedDict of what are no pairs"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor without its storage"),
        (b"ctorch._utils\n_rebuild_parameter\n)R.", "a parameter that is no tensor"),
        (b"ctorch\nSize\n)R.", "a size that is no tuple"),
        (b"K\x01K\x02b.", "attributes are set of what is no OrderedDict"),
        (b"K\x01Q.", "a reference to no storage"),
        (b"]K\x01K\x02s.", "entries are set in what is no dict"),
        (b"}]K\x02s.", "a key that is neither text nor whole number"),
        (b"}X\x01\0\0\0aNX\x01\0\0\0aNu.", "a mark is missing"),
        (b"}(X\x01\0\0\0aNX\x01\0\0\0aNu.", "the key 'a' stands twice"),
        (b"}K\x01a.", "items are appended to what is no list"),
        (b"a.", "a value is missing"), (b"h\x07.", "the value 7 was never remembered"),
        (b"K\x01K\x02.", "it ends with 2 values instead of one"),
        (b"X\xff\xff\xff\x7f.", "a text of 2147483647 bytes; at most 10000 are read"),
        (b"X\x01\0\0\0\xff.", "a text that is no UTF-8"),
        (b"K\x01K\x02\x93.", "a name that is no text"),
        (b"c" + b"a" * 300, "a name that does not end"),
    ])  # fmt: skip
    def test_nonsense(self, code, words):
        assert refused(archive(b"\x80\x02" + code)).startswith(f"its pickle is damaged: {words}")

    def test_protocols(self):
        assert refused(archive(b"\x80\x01}.")) == (
            "its pickle is of protocol 1; torch writes 2 to 5"
        )

    def test_endless(self, monkeypatch):
        monkeypatch.setattr(torch_pickle, "MAX_STEPS", 10)
        assert (
            refused(archive(b"\x80\x02" + b"N" * 20)) == "its pickle has more than 10 instructions"
        )

    def test_views_of_storages(self):
        code = pickled(("storage", called("x", "y"), "0", "cpu", 2, ("v", 0, 1)))
        code = code.replace(b"cx\ny\n)R", b"ctorch\nFloatStorage\n")
        code = code[:-1] + b"Q."
        assert refused(archive(code)).startswith("its storages are parts of others, as torch")

    def test_lists_that_hold_themselves(self):
        code = b"\x80\x02}q\x00(X\x01\0\0\0a]q\x01h\x01aX\x01\0\0\0bh\x00u."
        assert refused(archive(code)).startswith("it holds no tensors by name")
        assert refused(legacy(code)).startswith("it holds no tensors by name")
