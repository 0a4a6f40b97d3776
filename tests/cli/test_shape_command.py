"""cnntool shape: tables of networks, one layer, and what is refused."""

import csv
import importlib
import io
import json
import re

import click
import pytest
from cli_runner import done, refused

from cnntool.cli.commands.shape import command
from cnntool.nn.layer_words import COMBINATORS, LAYERS

LENET5 = (
    "conv 6 5 pad=2 | relu | maxpool 2 | conv 16 5 | relu | maxpool 2 | flatten | dense 120 | "
    "relu | dense 84 | relu | dense 10"
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """The command, whether or not it is in the table of all commands."""
    group = importlib.import_module("cnntool.cli.main").group
    monkeypatch.setitem(group.commands, "shape", command)


def as_json(*args, **options):
    return json.loads(done("shape", *args, "--json", **options).text)


def rows(*args):
    return list(csv.DictReader(io.StringIO(done("shape", *args, "--csv").text)))


# ------------------------------------------------------------------------------------ networks
def test_json_of_a_built_in_network():
    found = as_json("lenet5")
    assert list(found) == ["input", "layers", "total"]
    assert found["input"] == [1, 28, 28]
    assert found["total"] == {
        "params": 61706,
        "macs": 416520,
        "flops": 833040,
        "activation_bytes": 60008,
        "parameter_bytes": 246824,
    }
    assert list(found["layers"][0]) == [
        "name", "spec", "input", "output", "kernel", "stride", "padding", "params", "macs",
        "flops", "receptive_field", "jump", "activation_bytes",
    ]  # fmt: skip
    assert found["layers"][0]["name"] == "0.conv"
    assert found["layers"][3]["output"] == [16, 10, 10]
    assert found["layers"][-1]["output"] == [10]
    assert found["layers"][-1]["jump"] is None
    assert as_json(LENET5, "-q") == found


def test_branches_have_paths_as_names():
    names = [layer["name"] for layer in as_json("resnet18")["layers"]]
    assert {"8.main.0.conv", "8.shortcut.conv", "8.shortcut.batchnorm", "8.add"} <= set(names)
    assert len(set(names)) == len(names)
    found = as_json("relu|residual(conv 4 3 2 pad=1, conv 4 1 2)", "--input", "3x8x9")
    assert [layer["name"] for layer in found["layers"]] == [
        "0.relu", "1.main.conv", "1.shortcut.conv", "1.add",
    ]  # fmt: skip


def test_table_for_reading():
    lines = done("shape", "vgg16").lines
    header = lines[0].split()
    assert header == [
        "name", "spec", "output", "kernel", "stride", "padding", "params", "macs", "flops",
        "field", "jump", "bytes",
    ]  # fmt: skip
    last = next(line for line in lines if line.startswith("30.maxpool"))
    assert last.split()[3:] == [
        "512x7x7", "2x2", "2x2", "0", "0", "0", "0", "212x212", "32x32", "100352",
    ]  # fmt: skip
    blank = lines.index("")
    assert lines[blank + 1] == "parameters   138357544 (527.8 MiB in float32)"
    assert lines[blank + 2] == ("MACs         15470264320 (15.47 G) for one input, without biases")
    assert lines[blank + 3] == "FLOPs        30940528640 (30.94 G) = 2 · MACs"
    assert re.fullmatch(
        r"activations  \d+ bytes \([\d.]+ MiB in float32\) for one input", lines[blank + 4]
    )
    assert len(lines) == blank + 5


def test_csv_and_tsv_have_the_keys_of_json():
    found = rows("conv 8 3x5 2 pad=0:1:1:0 | flatten", "--input", "1x9x11")
    assert found[0] == {
        "name": "0.conv", "spec": "conv 8 3x5 2 pad=0:1:1:0", "input": "1x9x11",
        "output": "8x4x4", "kernel": "3x5", "stride": "2x2", "padding": "0:1:1:0",
        "params": "128", "macs": "1920", "flops": "3840", "receptive_field": "3x5",
        "jump": "2x2", "activation_bytes": "512",
    }  # fmt: skip
    assert (found[1]["output"], found[1]["kernel"], found[1]["jump"]) == ("128", "", "")
    lines = done("shape", "relu", "--input", "1x9x11", "--as", "tsv").lines
    assert lines[1].split("\t")[:3] == ["0.relu", "relu", "1x9x11"]
    half = rows("upsample 2", "--input", "1x9x11")[0]
    assert half["jump"] == "0.5x0.5"


def test_jsonl_is_a_layer_a_line():
    found = [json.loads(line) for line in done("shape", "lenet5", "--as", "jsonl").lines]
    assert found == as_json("lenet5")["layers"]


def test_classes_and_inputs_of_a_built_in_network():
    found = as_json("lenet5", "--classes", "26", "--input", "3x32x40")
    assert found["input"] == [3, 32, 40]
    assert found["layers"][-1]["output"] == [26]
    assert as_json("lenet5", "--input", "32x40")["input"] == [1, 32, 40]
    assert as_json("mlp", "--input", "100")["input"] == [100]


def test_an_input_is_taken_where_none_is_given():
    result = done("shape", "conv 8 3", "--json")
    assert json.loads(result.text)["input"] == [1, 28, 28]
    assert result.errors == ["cnntool: an input of 1x28x28 is taken; --input CxHxW gives another"]
    assert done("shape", "conv 8 3", "-q").stderr == ""
    assert done("shape", "lenet5").stderr == ""


def test_memory_of_a_batch():
    one, many = as_json("lenet5"), as_json("lenet5", "--batch-size", "128")
    for key, factor in [("activation_bytes", 128), ("params", 1), ("macs", 1)]:
        assert many["total"][key] == factor * one["total"][key]
        assert many["layers"][0][key] == factor * one["layers"][0][key]
    line = done("shape", "lenet5", "--batch-size", "128").lines[-1]
    assert line == "activations  7681024 bytes (7.3 MiB in float32) for a batch of 128"


def test_comparison_with_dense_and_local_layers():
    """(n² + 1)·m² fully connected, (M·k² + 1)·K·m² k-local."""
    found = as_json("lenet5", "--compare")
    first, third = found["layers"][0], found["layers"][3]
    assert first["dense_params"] == (28 * 28 + 1) * 6 * 28 * 28
    assert first["local_params"] == (25 + 1) * 6 * 28 * 28
    assert third["local_params"] == (6 * 25 + 1) * 16 * 100
    assert found["layers"][1]["dense_params"] is None
    others = 61706 - 156 - 2416
    assert found["total"]["local_params"] == (
        first["local_params"] + third["local_params"] + others
    )
    lines = done("shape", "lenet5", "--compare").lines
    assert lines[-2].startswith(f"if dense     {found['total']['dense_params']} parameters")
    assert lines[-1].startswith(f"if k-local   {found['total']['local_params']} parameters")
    assert rows("lenet5", "--compare")[0]["local_params"] == str(first["local_params"])


def test_specifications_come_from_files_and_pipes(tmp_path):
    text = LENET5.replace(" | ", "\n") + "  # ten digits\n"
    path = tmp_path / "my net.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    expected = as_json("lenet5")
    assert as_json(f"@{path}") == expected
    assert as_json("-", stdin=text.encode()) == expected
    assert as_json("lenet5\n") == expected


# ------------------------------------------------------------------------------- refused texts
def test_an_impossible_network_names_layer_input_and_fixes():
    line = refused(2, "shape", "conv 8 3 | maxpool 2 | conv 8 9", "--input", "1x12x12")
    assert line == (
        "cnntool: layer 2.conv 'conv 8 9' (column 24) gets 8×5×5: rows (5 - 9)/1 + 1 = -3 are less "
        "than 1; take a kernel of at most 5, or pad=2"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["conv 8 3 | dense 3", "--input", "1x9x9"], "add flatten before it"),
        (["cnv 8 3"], "unknown layer 'cnv' at column 1; did you mean 'conv'"),
        (["lenett"], "unknown model 'lenett'; did you mean 'lenet' or 'lenet5'"),
        (["maxpol"], "unknown model 'maxpol'; did you mean 'maxpool'"),
        (["qqq.x"], "unknown model 'qqq.x'. See 'cnntool models'"),
        (["conv 8 3", "--classes", "5"], "--classes changes built-in networks only"),
        ([], "which network? Name one of 'cnntool models', write a specification"),
        (["lenet5", "--input", "1x2x3x4"], "'1x2x3x4' is no input; write CxHxW such as 1x28x28"),
        (["lenet5", "--input", "0x28x28"], "'0x28x28' is no input"),
        (["lenet5", "--input", "big"], "'big' is no input"),
        (["lenet5", "--batch-size", "0"], "0 is not in the range"),
        (["lenet5", "--classes", "0"], "0 is not in the range"),
        (["lenet5", "--json", "--csv"], "--json and --csv exclude each other"),
        (["@missing.txt"], "'missing.txt': the specification cannot be read: No such file"),
        (["@"], "'@' needs the name of a file: @net.txt"),
        (["lenet5", "--kernel", "3"], "--kernel goes with --layer"),
        (["lenet5", "--output", "3"], "--output goes with --layer"),
        (["lenet5", "--ceil"], "--ceil goes with --layer"),
        (["--layer", "conv", "--kernel", "3"], "--layer needs --input, such as --input 28x28"),
        (["lenet5", "--layer", "pool", "--input", "9x9", "--kernel", "3"], "leave out the network"),
    ],
)  # fmt: skip
def test_refused(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(2, "shape", *args)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("conv", "", "conv needs --kernel, such as --kernel 3 or 3x5"),
        ("conv", "--kernel 3 --input 81", "conv slides over rows and columns; give --input 28x28"),
        ("conv", "--kernel 3 --ceil", "--ceil goes with pool"),
        ("conv", "--kernel 3 --output-padding 1", "--output-padding goes with deconv"),
        ("pool", "--kernel 3 --groups 2", "--groups goes with conv or deconv"),
        ("pool", "--kernel 3 --no-bias", "--bias goes with conv or deconv or dense or local"),
        ("dense", "--kernel 3", "--kernel goes with conv or pool or deconv or local"),
        ("dense", "--output 3 --filters 3", "--output and --filters say the same of dense"),
        ("dense", "--solve kernel", "dense has no kernel; --solve goes with a window"),
        ("conv", "--kernel 3 --output 9", "--solve and --output go together: what to find"),
        ("conv", "--kernel 3 --solve padding", "--solve and --output go together"),
        ("conv", "--kernel 3 --solve kernel --output 7", "--solve kernel finds --kernel; leave it"),
        ("conv", "--kernel 3 --solve stride --output 6", "no stride gives 6 rows from 9; stride 1"),
        ("conv", "--kernel 3 --solve padding --output 0", "'0' is no size; write HxW such as"),
        ("conv", "--kernel 10", "layer 0.conv 'conv 1 10' gets 1×9×9: rows (9 - 10)/1 + 1 = 0 are"),
        ("conv", "--kernel 0", "'0' does not fit; write N or HxW, 1 to 10000"),
        ("conv", "--kernel 3 --padding full", "'full' does not fit; write N, HxW or T:R:B:L"),
    ],
)
def test_refused_about_one_layer(kind, options, message):
    line = refused(2, "shape", "--layer", kind, "--input", "9x9", *options.split())
    assert message in line


def test_files_that_hold_no_specification(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.txt").write_text("relu")
    line = refused(2, "shape", "net.txt")
    assert "'net.txt' is a file; write '@net.txt' if it holds a specification" in line
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    assert "'photo.png': no specification; it must be text" in refused(2, "shape", "@photo.png")
    (tmp_path / "nul").write_bytes(b"relu\0")
    assert "no specification" in refused(2, "shape", "@nul")
    assert "standard input: no specification" in refused(2, "shape", "-", stdin=b"\xff")
    assert "the specification is empty" in refused(2, "shape", "-")
    assert "cannot be read" in refused(2, "shape", f"@{tmp_path}")
    assert "cannot be read: embedded null" in refused(2, "shape", "@a\0b")


# ----------------------------------------------------------------------------------- one layer
def test_one_layer_with_its_arithmetic():
    lines = done(
        "shape", "--layer", "conv", "--input", "28x30", "--kernel", "5", "--stride", "2"
    ).lines
    assert lines[1].split()[:8] == ["0.conv", "conv", "1", "5", "2", "1x12x13", "5x5", "2x2"]
    assert lines[-2:] == [
        "rows     floor((28 - 5)/2 + 1) = 12",
        "columns  floor((30 - 5)/2 + 1) = 13",
    ]
    found = as_json("--layer", "conv", "--input", "3x28x30", "--kernel", "5", "--filters", "8")
    assert found["total"]["params"] == 8 * (3 * 25 + 1)
    assert found["layers"][0]["output"] == [8, 24, 26]


@pytest.mark.parametrize(
    ("args", "output", "params"),
    [
        (["conv", "--kernel", "5", "--padding", "same"], [1, 9, 11], 26),
        (["conv", "--kernel", "3x5", "--padding", "1,2"], [1, 9, 11], 16),
        (["conv", "--kernel", "3,5", "--padding", "1,2,0,1", "--no-bias"], [1, 8, 10], 15),
        (["conv", "--kernel", "3", "--dilation", "2x1", "--filters", "4"], [4, 5, 9], 40),
        (["pool", "--kernel", "2"], [1, 4, 5], 0),
        (["pool", "--kernel", "2", "--ceil"], [1, 5, 6], 0),
        (["pool", "--kernel", "3", "--stride", "2x1", "--padding", "1"], [1, 5, 11], 0),
        (["deconv", "--kernel", "4", "--stride", "2", "--padding", "1"], [1, 18, 22], 17),
        (["deconv", "--kernel", "3", "--stride", "2", "--output-padding", "1x0"], [1, 20, 23], 10),
        (["local", "--kernel", "3"], [1, 7, 9], 10 * 63),
        (["dense", "--output", "10"], [10], 1000),
        (["dense", "--output", "9x11"], [99], 9900),
        (["dense", "--filters", "7", "--no-bias"], [7], 693),
    ],
)  # fmt: skip
def test_layers_by_hand(args, output, params):
    (layer,) = as_json("--layer", *args, "--input", "9x11")["layers"]
    assert (layer["output"], layer["params"]) == (output, params)


def test_solutions():
    about = ["--layer", "conv", "--input", "28x28", "--kernel", "5"]
    found = as_json(*about, "--solve", "padding", "--output", "28")
    assert found == [
        {
            "padding": [2, 2, 2, 2], "spec": "conv 1 5 pad=2", "output": [1, 28, 28],
            "params": 26, "macs": 28 * 28 * 25,
        }
    ]  # fmt: skip
    assert done("shape", *about, "--solve", "stride", "--output", "12x6").lines[1].split() == [
        "2x4", "conv", "1", "5", "2x4", "1x12x6", "26", "1800",
    ]  # fmt: skip
    kernels = as_json("--layer", "pool", "--input", "28x28", "--solve", "kernel", "--output", "9")
    assert [answer["kernel"] for answer in kernels] == [[3, 3]]


# ------------------------------------------------------------------------------- help, options
def test_help_names_every_word():
    text = done("shape", "--help").text
    for word in (*LAYERS, *COMBINATORS):
        assert re.search(rf"\b{word}\b", text), word
    for setting in {s.name for entry in LAYERS.values() for s in entry.settings if not s.label}:
        assert re.search(rf"\b{setting}\b", text), setting
    assert all(len(line) <= 100 for line in text.splitlines())


def test_completion_offers_networks_and_layers():
    parameter = next(p for p in command.params if p.name == "model")
    context = click.Context(command)
    complete = parameter.type.shell_complete
    assert [item.value for item in complete(context, parameter, "resnet")] == [
        "resnet18", "resnet34", "resnet50",
    ]  # fmt: skip
    assert [item.value for item in complete(context, parameter, "relu | maxp")] == [
        "relu | maxpool"
    ]
    assert complete(context, parameter, "@n")[0].type == "file"


def test_options_come_from_the_environment():
    found = as_json("conv 8 3", env={"CNNTOOL_SHAPE_INPUT": "2x9x9"})
    assert found["input"] == [2, 9, 9]
