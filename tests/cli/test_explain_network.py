"""``cnntool explain weights|patches|maximize``: what a network holds, likes and is made for."""

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from PIL import Image
from trained_models import CLASSES, SIZE, trained, write_pictures
from training_runs import write_npz

from cnntool.explain.subject import Subject
from cnntool.nn.modelfile import save_model
from cnntool.predict.model import TrainedModel


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one, with the model in m.safetensors."""
    monkeypatch.chdir(tmp_path)
    save_model("m.safetensors", trained())
    return tmp_path


def picture(path):
    with Image.open(path) as image:
        image.load()
        return image


def weight(name):
    return trained().tensors[name]


# --- weights


def test_weights(here):
    args = ("explain", "weights", "m.safetensors", "--layer")
    assert done(*args, "0.conv", "-o", "w.png").lines == ["w.png"]
    assert picture("w.png").mode == "RGB"
    done(*args, "0.conv", "-o", "w.npy")
    np.testing.assert_array_equal(np.load("w.npy"), weight("0.conv.weight"))
    done(*args, "0.conv", "--channels", "4-5,1", "-o", "some.npy")
    np.testing.assert_array_equal(np.load("some.npy"), weight("0.conv.weight")[[4, 5, 1]])
    done(*args, "4.dense", "-o", "d.npy")
    np.testing.assert_array_equal(np.load("d.npy"), weight("4.dense.weight"))
    assert done(*args, "4.dense", "-o", "d.jpg").lines == ["d.jpg"]
    assert done(*args, "4.dense", "-o", "-").stdout.startswith(b"\x89PNG")
    assert done(*args, "0.conv", "-o", "x.dat", "--format", "bmp").lines == ["x.dat"]
    assert picture("x.dat").format == "BMP"


def test_weights_that_are_too_many_to_draw(here):
    from small_models import numbers

    from cnntool.nn.modelfile import Preprocessing, SavedModel

    spec, shape = "conv 70 1 | conv 520 1 | conv 3 1 | flatten | dense 2", (1, 2, 3)
    save_model("b.safetensors", SavedModel(
        spec=spec, input=shape, tensors=numbers(spec, shape),
        preprocessing=Preprocessing(color="gray", mean=(0.0,), std=(1.0,)),
    ))  # fmt: skip
    args = ("explain", "weights", "b.safetensors", "--layer")
    result = done(*args, "1.conv", "-o", "w.png")
    assert result.errors == [
        "cnntool: 512 of 520 filters are drawn; --channels chooses, .npy holds all"
    ]
    done(*args, "1.conv", "-o", "w.npy")
    assert np.load("w.npy").shape == (520, 70, 1, 1)
    result = done(*args, "4.dense", "-o", "d.png")
    assert result.errors == []
    spec = "conv 70 1 | conv 4 2 | flatten | dense 2"
    save_model("c.safetensors", SavedModel(
        spec=spec, input=shape, tensors=numbers(spec, shape),
        preprocessing=Preprocessing(color="gray", mean=(0.0,), std=(1.0,)),
    ))  # fmt: skip
    result = done("explain", "weights", "c.safetensors", "--layer", "1.conv", "-o", "c.png")
    assert result.errors == [
        "cnntool: of each filter the first 64 of 70 planes are drawn; .npy holds all"
    ]
    assert done("explain", "weights", "c.safetensors", "--layer", "1.conv", "-q", "-f", "-o",
                "c.png").errors == []  # fmt: skip


@pytest.mark.parametrize(("options", "status", "words"), [
    (["--layer", "1.relu", "-o", "x.png"], 2, "layer 1.relu has no filters; these have: 0.conv"),
    (["--layer", "conv", "-o", "x.png"], 2, "unknown layer 'conv'; did you mean '0.conv'? The"),
    (["-o", "x.png"], 2, "which layer? --layer takes 0.conv, 1.relu, 2.maxpool, 3.flatten, 4.dens"),
    (["--layer", "0.conv"], 2, "where to? -o OUT.png writes a picture, -o OUT.npy the numbers"),
    (["--layer", "0.conv", "-o", ""], 2, "where to? -o OUT.png"),
    (["--layer", "0.conv", "-o", "x.txt"], 2, "'x.txt': no picture has this suffix; use .png"),
    (["--layer", "0.conv", "-o", "x.gif"], 2, "'x.gif': no picture has this suffix; use .png"),
    (["--layer", "0.conv", "-o", "no/x.png"], 3, "the output folder cannot be used: No such file"),
    (["--layer", "0.conv", "--channels", "6", "-o", "x.png"], 2, "layer 0.conv has no channel 6"),
    (["--layer", "0.conv", "-o", "m.safetensors", "-f", "--format", "png"], 2,
     "'m.safetensors' is an input and is never overwritten"),
    (["--layer", "0.conv", "-o", "."], 2, "'.'"),
])  # fmt: skip
def test_weights_that_are_refused(here, options, status, words):
    assert words in refused(status, "explain", "weights", "m.safetensors", *options)
    assert os.listdir() == ["m.safetensors"]


def test_existing_results_are_kept(here):
    for way, options in (
        ("weights", ["--layer", "0.conv"]),
        ("maximize", ["--class", "lying", "--steps", 2]),
        ("patches", ["in", "--layer", "0.conv"]),
    ):
        write_pictures(here / "in", 2)
        (here / "x.png").write_bytes(b"mine")
        args = ("explain", way, "m.safetensors", *options, "-o", "x.png")
        assert refused(2, *args) == "cnntool: 'x.png' exists; -f (--force) overwrites it"
        assert (here / "x.png").read_bytes() == b"mine"
        assert done(*args, "-f", "-q").lines == ["x.png"]
        assert picture("x.png").mode == "RGB"


def test_full_disks(here, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("cnntool.files.atomic.os.write", full)
        message = refused(3, "explain", "weights", "m.safetensors", "--layer", "0.conv", "-o",
                          "x.png")  # fmt: skip
    assert message == (
        "cnntool: 'x.png': cannot be written: No space left on device; free some space or write "
        "elsewhere"
    )
    assert os.listdir() == ["m.safetensors"]


# --- patches


def rows(*args):
    result = done("explain", "patches", "m.safetensors", *args, "--json")
    return json.loads(result.stdout)


def test_patches_of_a_folder(here):
    _, labels = write_pictures(here / "in", 40)
    found = rows("in", "--layer", "4.dense", "--top", 3)
    assert [list(row) for row in found] == [
        ["filter", "rank", "source", "box", "at", "activation"]
    ] * 9
    assert [(row["filter"], row["rank"]) for row in found] == [
        (k, r) for k in range(3) for r in (1, 2, 3)
    ]
    for row in found:
        number = int(os.path.basename(row["source"]).removesuffix(".png"))
        assert labels[number] == row["filter"]
        assert row["box"] == [0, 0, 12, 10] and row["at"] == [0, 0]
    result = done("explain", "patches", "m.safetensors", "in", "--layer", "4.dense", "-o", "p.png")
    assert result.lines == ["p.png"]
    assert result.errors == ["cnntool: 40 done, 0 failed, 0 skipped"]


def test_a_row_of_the_table_is_true(here):
    """The patch of the table, cut from the file by hand, convolved by hand."""
    write_pictures(here / "in", 25)
    how = trained().preprocessing
    for row in rows("in", "--layer", "0.conv", "--top", 2):
        pixels = np.asarray(picture(row["source"]), float)
        y, x = row["at"]
        framed = np.pad((pixels / 255 - how.mean[0]) / how.std[0], 1)[y : y + 3, x : x + 3]
        expected = (framed * weight("0.conv.weight")[row["filter"], 0]).sum()
        expected += weight("0.conv.bias")[row["filter"]]
        assert row["activation"] == pytest.approx(expected, abs=1e-5)
        assert row["box"] == [max(y - 1, 0), max(x - 1, 0), min(y + 2, 12), min(x + 2, 10)]


def test_forms_of_the_table(here):
    write_pictures(here / "in", 5)
    args = ("explain", "patches", "m.safetensors", "in", "--layer", "2.maxpool", "--channels", "3")
    objects = json.loads(done(*args, "--json").stdout)
    assert len(objects) == 5 and {row["filter"] for row in objects} == {3}
    lines = list(csv.DictReader(io.StringIO(done(*args, "--csv").text)))
    assert [json.loads(line["box"]) for line in lines] == [row["box"] for row in objects]
    assert done(*args).lines[0].split() == ["filter", "rank", "source", "box", "at", "activation"]
    both = done(*args, "--json", "-o", "p.png")
    assert json.loads(both.stdout) == objects and picture("p.png").mode == "RGB"
    assert "-o - leaves no room on standard output for the table" in refused(
        2, *args, "--json", "-o", "-"
    )
    assert done(*args, "-o", "-").stdout.startswith(b"\x89PNG")


def test_patches_as_numbers(here):
    write_pictures(here / "in", 12)
    args = ("explain", "patches", "m.safetensors", "in", "--top", 4)
    done(*args, "--layer", "2.maxpool", "-o", "p.npy")
    found = np.load("p.npy")
    assert found.shape == (6, 4, 4, 4) and found.dtype == np.uint8
    for row in rows("in", "--top", 4, "--layer", "2.maxpool"):
        top, left, bottom, right = row["box"]
        if (bottom - top, right - left) == (4, 4):
            pixels = np.asarray(picture(row["source"]))[top:bottom, left:right]
            np.testing.assert_array_equal(found[row["filter"], row["rank"] - 1], pixels)


def test_data_sets_in_memory(here):
    write_npz("bars.npz", train=30, test=9)
    found = rows("bars.npz", "--layer", "0.conv", "--top", 2)
    assert all(row["source"].startswith("bars/train/") for row in found)
    limited = rows("bars.npz", "--layer", "0.conv", "--top", 2, "--limit", 4)
    assert {row["source"] for row in limited} <= {f"bars/train/{n}" for n in range(4)}
    message = refused(1, "explain", "patches", "m.safetensors", "bars.npz", "--layer", "0.conv",
                      "--part", "validation")  # fmt: skip
    assert "'bars' has no validation part; it has train, test" in message
    message = refused(2, "explain", "patches", "m.safetensors", "bars.npz", "--layer", "0.conv",
                      "--invert")  # fmt: skip
    assert "--invert is for picture files" in message


def test_parts_and_bad_files_of_folders(here):
    write_pictures(here / "data" / "train" / "a", 4)
    write_pictures(here / "data" / "test" / "a", 3, seed=9)
    (here / "data" / "test" / "a" / "bad.png").write_bytes(b"nothing")
    args = ("explain", "patches", "m.safetensors", "data", "--layer", "1.relu", "--json")
    assert all("/train/" in row["source"] for row in json.loads(done(*args).stdout))
    result = invoke(*args, "--part", "test")
    assert result.status == 1, "one picture failed"
    assert {row["source"] for row in json.loads(result.stdout)} == {
        f"data/test/a/{n}.png" for n in range(3)
    }
    assert result.errors[0].startswith("cnntool: 'data/test/a/bad.png': not a picture")
    assert result.errors[1] == "cnntool: 3 done, 1 failed, 0 skipped"
    assert "'data' has no validation part; it has train, test" in refused(
        1, *args, "--part", "validation"
    )
    limited = json.loads(done(*args, "--limit", 2, "-j", 1).stdout)
    assert {row["source"] for row in limited} <= {"data/train/a/0.png", "data/train/a/2.png"}
    write_pictures(here / "dark", 2, negative=True)
    result = done("explain", "patches", "m.safetensors", "dark", "--layer", "1.relu")
    assert "--invert takes its negative" in result.stderr


def test_nothing_to_look_at(here):
    os.makedirs("empty")
    result = invoke("explain", "patches", "m.safetensors", "empty", "--layer", "0.conv")
    assert result.status == 1 and "no input files in this folder" in result.stderr
    assert "'empty': no picture could be read" in result.stderr and result.stdout == b""
    assert "no such file or folder" in refused(
        1, "explain", "patches", "m.safetensors", "gone/x", "--layer", "0.conv"
    )
    assert "unknown data set 'mnits'; did you mean 'mnist'" in refused(
        2, "explain", "patches", "m.safetensors", "mnits", "--layer", "0.conv"
    )


def test_filters_that_nothing_excites(here):
    import dataclasses

    tensors = {k: v.copy() for k, v in trained().tensors.items()}
    tensors["0.conv.bias"][[1, 4]] = -100
    save_model("d.safetensors", dataclasses.replace(trained(), tensors=tensors))
    write_pictures(here / "in", 3)
    args = ("explain", "patches", "d.safetensors", "in", "--layer", "1.relu", "-o", "p.png")
    assert done(*args).errors[-1] == "cnntool: 2 filters are never above 0: 1, 4"
    message = refused_last(2, *args[:-2], "--top", 1000, "--channels", "7", "-o", "q.png")
    assert "layer 1.relu has no channel 7" in message


def refused_last(status, *args):
    result = invoke(*args)
    assert result.status == status
    return result.errors[-1]


# --- maximize


def test_a_class(here):
    args = ("explain", "maximize", "m.safetensors", "--class", "lying", "--steps", 150)
    result = done(*args, "-o", "x.png", "-v")
    assert result.lines == ["x.png"]
    told = result.errors[-1]
    assert told.startswith("cnntool: 'lying': share ")
    assert float(told.split("share ")[1].split(",")[0]) > 0.99
    done(*args, "-o", "x.npy")
    found = np.load("x.npy")
    assert found.shape == SIZE and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 255
    again = done(*args, "-o", "-").stdout
    assert again == (here / "x.png").read_bytes(), "same seed, same bytes"
    assert done(*args, "-o", "-", "--seed", 1).stdout != again


def test_plain_pictures_that_the_network_believes(here):
    result = done("explain", "maximize", "m.safetensors", "--class", "all", "-o", "made/",
                  "--steps", 200)  # fmt: skip
    assert result.lines == [f"made/{label}.png" for label in CLASSES]
    for label in CLASSES:
        assert picture(f"made/{label}.png").size == SIZE[::-1]
    answers = json.loads(done("predict", "m.safetensors", "made", "--json").stdout)
    for answer in answers:
        assert answer["path"] == f"made/{answer['label']}.png" and answer["score"] > 0.99
    message = refused(2, "explain", "maximize", "m.safetensors", "--class", "lying", "-o", "made/")
    assert message == "cnntool: 'made/lying.png' exists; -f (--force) overwrites it"


def test_several_classes_and_steps_as_numbers(here):
    args = ("explain", "maximize", "m.safetensors", "--class", "lying", "--class", "standing",
            "--class", "lying", "--steps", 9)  # fmt: skip
    done(*args, "-o", "a.npy", "-q")
    assert np.load("a.npy").shape == (2, *SIZE)
    done(*args, "--save-at", "1,3-4", "-o", "b.npy", "-q")
    stages = np.load("b.npy")
    assert stages.shape == (4, 2, *SIZE)
    np.testing.assert_array_equal(stages[-1], np.load("a.npy"))
    assert done(*args, "--save-at", "1,3-4", "-o", "b.png", "-q").lines == ["b.png"]
    found = done(*args, "--save-at", "4", "-o", "d/", "-q", "--format", "npy").lines
    assert found == ["d/lying.4.npy", "d/lying.npy", "d/standing.4.npy", "d/standing.npy"]
    np.testing.assert_array_equal(np.load("d/standing.4.npy"), stages[2, 1])


def test_maps_and_neurons(here):
    args = ("explain", "maximize", "m.safetensors", "--layer", "1.relu", "--steps", 30)
    done(*args, "--channel", "0-5", "-o", "a.png", "-q")
    done(*args, "--channel", "2", "--at", "3,4", "-o", "n.npy", "-q")
    one = Subject.of(TrainedModel.load("m.safetensors"))
    image = np.rint(np.load("n.npy")).astype(np.uint8)[None]
    from cnntool.explain.activations import activations

    noise = np.random.default_rng(1).normal(50, 20, (1, *SIZE)).astype(np.float32)
    assert (
        activations(one, image, "1.relu")["1.relu"][2, 3, 4]
        > (activations(one, noise, "1.relu")["1.relu"][2, 3, 4])
    )
    assert done(*args, "--channel", "1,2", "-o", "d/", "-q").lines == [
        "d/1.relu-1.png", "d/1.relu-2.png",
    ]  # fmt: skip
    assert done(*args, "--channel", "1", "--at", "2,3", "-o", "d/", "-q").lines == [
        "d/1.relu-1-2-3.png"
    ]


def test_networks_that_are_not_sure(here):
    result = done("explain", "maximize", "m.safetensors", "--class", "all", "--steps", 1, "-o",
                  "x.png")  # fmt: skip
    assert "the network is not sure of its own pictures of '" in result.errors[-1]
    assert "; another class scores as high: try another --seed, more --steps" in result.errors[-1]


def test_maps_that_nothing_lifts(here):
    import dataclasses

    tensors = {k: v.copy() for k, v in trained().tensors.items()}
    tensors["0.conv.bias"][1] = -100
    save_model("d.safetensors", dataclasses.replace(trained(), tensors=tensors))
    result = done("explain", "maximize", "d.safetensors", "--layer", "1.relu", "--channel", "0-1",
                  "--steps", 20, "-o", "x.png")  # fmt: skip
    assert "nothing lifts 1.relu 1 above 0; try another --seed" in result.errors[-1]


@pytest.mark.parametrize(("options", "status", "words"), [
    ([], 2, "name --class LABEL, or --layer NAME with --channel N"),
    (["--class", "lying", "--layer", "0.conv"], 2, "name --class LABEL, or --layer NAME with"),
    (["--layer", "0.conv"], 2, "--layer needs --channel N"),
    (["--class", "lying", "--at", "1,1"], 2, "--channel and --at go with --layer"),
    (["--class", "lyin"], 2, "unknown class 'lyin'; did you mean 'lying'? There are standing"),
    (["--layer", "0.cnv", "--channel", 1], 2, "unknown layer '0.cnv'; did you mean '0.conv'"),
    (["--layer", "0.conv", "--channel", "5-6"], 2, "layer 0.conv has no channel 6"),
    (["--layer", "0.conv", "--channel", 1, "--at", "12,1"], 2, "has no position 12,1; its maps"),
    (["--layer", "4.dense", "--channel", 1, "--at", "0,0"], 2, "without positions; leave --at out"),
    (["--class", "lying", "--save-at", "600"], 2, "--save-at 600: steps are 1 to 512"),
    (["--class", "lying", "--save-at", "0"], 2, "--save-at 0: steps are 1 to 512"),
    (["--class", "lying", "--save-at", "x"], 2, "'x' does not name steps; write numbers and rang"),
])  # fmt: skip
def test_what_maximize_refuses(here, options, status, words):
    args = ("explain", "maximize", "m.safetensors", *options, "-o", "x.png")
    assert words in refused(status, *args)
    assert os.listdir() == ["m.safetensors"]


def test_maximize_needs_a_place(here):
    assert "where to? -o OUT.png" in refused(
        2, "explain", "maximize", "m.safetensors", "--class", "lying"
    )
    message = refused(3, "explain", "maximize", "m.safetensors", "--class", "lying", "-o",
                      "no/x.png")  # fmt: skip
    assert "the output folder cannot be used" in message


def test_segmenters_have_maps_and_no_class_of_the_picture(here):
    from small_models import numbers

    from cnntool.nn.modelfile import Preprocessing, SavedModel

    spec, shape = "skip(conv 3 3 pad=1 | relu) | conv 2 1", (1, 5, 6)
    save_model("s.safetensors", SavedModel(
        spec=spec, input=shape, tensors=numbers(spec, shape), task="segment",
        classes=("ground", "thing"),
        preprocessing=Preprocessing(color="gray", mean=(0.0,), std=(1.0,)),
    ))  # fmt: skip
    message = refused(2, "explain", "maximize", "s.safetensors", "--class", "thing", "-o", "x.png")
    assert message == (
        "cnntool: the network gives scores for every pixel, 2×5×6; use --layer 1.conv --channel N"
    )
    done("explain", "maximize", "s.safetensors", "--layer", "1.conv", "--channel", 1, "--steps", 5,
         "-q", "-o", "x.png")  # fmt: skip
    done("explain", "weights", "s.safetensors", "--layer", "0.skip.conv", "-o", "w.png")
    write_pictures(here / "in", 2)
    done("explain", "patches", "s.safetensors", "in", "--layer", "0.concat", "-q", "-o", "p.png")


# --- the rest


def test_on_a_gpu(here, double_as_gpu):
    write_pictures(here / "in", 3)
    for way, options in (
        ("weights", ["--layer", "0.conv", "-o"]),
        ("patches", ["in", "--layer", "0.conv", "-q", "-o"]),
        ("maximize", ["--class", "lying", "--steps", 3, "-q", "-o"]),
    ):
        for device in ("cpu", "gpu"):
            done("explain", way, "m.safetensors", *options, f"{device}.npy", "--device", device,
                 "-f")  # fmt: skip
        np.testing.assert_allclose(np.load("gpu.npy"), np.load("cpu.npy"), atol=0.5)


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.faults
def test_ctrl_c_leaves_nothing(here):
    child = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "explain", "maximize", "m.safetensors", "--class", "all",
         "--steps", "1000000", "-o", "made/"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not os.path.isdir("made"):
        assert child.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    os.killpg(child.pid, signal.SIGINT)
    out, errors = child.communicate(timeout=20)
    assert child.returncode == -signal.SIGINT
    assert out == b"" and b"Traceback" not in errors
    assert os.listdir("made") == []


def test_shape_of_a_trained_model(here):
    found = json.loads(done("shape", "m.safetensors", "--json").stdout)
    assert [row["name"] for row in found["layers"]] == [
        "0.conv", "1.relu", "2.maxpool", "3.flatten", "4.dense",
    ]  # fmt: skip
    assert found["input"] == [1, 12, 10]
    os.makedirs("run")
    os.rename("m.safetensors", "run/model.safetensors")
    assert json.loads(done("shape", "run", "--json").stdout) == found
    assert "--classes changes built-in networks only" in refused(2, "shape", "run", "--classes", 4)
    os.makedirs("other")
    assert "no model.safetensors in this folder" in refused(4, "shape", "other")
