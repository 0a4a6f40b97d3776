"""``cnntool explain`` of pictures: activations, saliency, gradcam, occlusion."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import reference_explain as reference
from cli_runner import done, invoke, refused
from PIL import Image
from trained_models import CLASSES, SIZE, bars, changed, trained, write_pictures

from cnntool.cli.commands.explain import WAYS
from cnntool.explain.gradcam import gradcam
from cnntool.explain.occlusion import occlusion
from cnntool.explain.saliency import saliency
from cnntool.explain.subject import Subject
from cnntool.nn.modelfile import save_model

IMAGE, LABEL = (part[0] for part in bars(1, seed=4))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one, with the model in m.safetensors and a picture of a bar."""
    monkeypatch.chdir(tmp_path)
    save_model("m.safetensors", trained())
    write_pictures(tmp_path, 1)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def picture(path):
    with Image.open(path) as image:
        image.load()
        return image


# --- what is written


@pytest.mark.parametrize(("way", "options", "what"), [
    ("activations", ["--layer", "0.conv"], "0.conv"),
    ("saliency", [], "saliency"),
    ("saliency", ["--method", "guided"], "guided"),
    ("saliency", ["--method", "integrated", "--baseline", "mean"], "integrated"),
    ("saliency", ["--method", "smoothgrad", "--copies", 4, "--seed", 3], "smoothgrad"),
    ("saliency", ["--method", "input-gradient"], "input-gradient"),
    ("gradcam", ["--layer", "1.relu"], "gradcam"),
    ("occlusion", ["--size", "4,3", "--stride", 2, "--fill", "black"], "occlusion"),
])  # fmt: skip
def test_a_drawing_beside_the_picture(here, way, options, what):
    result = done("explain", way, "m.safetensors", "0.png", *options)
    assert result.lines == [f"0.{what}.png"] and result.errors == []
    drawing = picture(f"0.{what}.png")
    assert drawing.mode == "RGB" and drawing.width > 400
    again = done("explain", way, "m.safetensors", "0.png", *options, "-o", "again.png")
    assert again.lines == ["again.png"]
    assert (here / "again.png").read_bytes() == (here / f"0.{what}.png").read_bytes()


def test_numbers_of_maps(here):
    done("explain", "activations", "m.safetensors", "0.png", "--layer", "0.conv", "-o", "a.npy")
    found = np.load("a.npy")
    assert found.dtype == np.float32 and found.shape == (6, 12, 10)
    np.testing.assert_allclose(found, reference.passed(IMAGE).conv, rtol=1e-4, atol=1e-4)
    done("explain", "activations", "m.safetensors", "0.png", "--layer", "4.dense", "-o", "d.npy")
    np.testing.assert_allclose(np.load("d.npy"), reference.passed(IMAGE).scores, rtol=1e-4)
    done("explain", "activations", "m.safetensors", "0.png", "--layer", "0.conv", "-o", "b.npy",
         "--channels", "5,0-1")  # fmt: skip
    np.testing.assert_array_equal(np.load("b.npy"), found[[5, 0, 1]])


def test_numbers_of_evidence(here):
    one, best = Subject.load("m.safetensors"), int(LABEL)
    for way, options, expected in (
        ("saliency", [], saliency(one, IMAGE, best)[0]),
        ("saliency", ["--class", "lying"], saliency(one, IMAGE, 1)[0]),
        ("saliency", ["--class", "lying", "--method", "integrated", "--steps", 5],
         saliency(one, IMAGE, 1, "integrated", steps=5)[0]),
        ("gradcam", [], gradcam(one, IMAGE, best, "1.relu")),
        ("gradcam", ["--class", "slanting", "--layer", "2.maxpool"],
         gradcam(one, IMAGE, 2, "2.maxpool")),
        ("occlusion", [], occlusion(one, IMAGE, best)),
        ("occlusion", ["--size", 5, "--fill", "white", "--class", "standing"],
         occlusion(one, IMAGE, 0, size=(5, 5), fill="white")),
    ):  # fmt: skip
        done("explain", way, "m.safetensors", "0.png", *options, "-q", "-f", "-o", "x.npy")
        np.testing.assert_array_equal(np.load("x.npy"), expected)


def test_colour_gives_three_channels(here):
    spec = "conv 4 3 | relu | flatten | dense 3"
    from small_models import numbers

    from cnntool.nn.modelfile import Preprocessing, SavedModel

    save_model("c.safetensors", SavedModel(
        spec=spec, input=(3, 6, 8), tensors=numbers(spec, (3, 6, 8)), classes=CLASSES,
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.2,) * 3),
    ))  # fmt: skip
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("photo.jpg")
    done("explain", "saliency", "c.safetensors", "photo.jpg", "-o", "s.npy")
    assert np.load("s.npy").shape == (6, 8, 3)
    done("explain", "occlusion", "c.safetensors", "photo.jpg", "-o", "o.npy")
    assert np.load("o.npy").shape == (6, 8)
    assert done("explain", "gradcam", "c.safetensors", "photo.jpg", "-q").lines == [
        "photo.gradcam.jpg"
    ]
    assert picture("photo.gradcam.jpg").format == "JPEG"
    # three values a pixel are a picture in floats, more maps are none
    done("explain", "saliency", "c.safetensors", "photo.jpg", "-o", "s.pfm")
    message = refused(1, "explain", "activations", "c.safetensors", "photo.jpg", "--layer",
                      "0.conv", "-o", "a.pfm")  # fmt: skip
    assert "any array can be written as .npy" in message


def test_all_layers_into_a_folder(here):
    layers = ["0.conv", "1.relu", "2.maxpool", "3.flatten", "4.dense"]
    args = ("explain", "activations", "m.safetensors", "0.png", "--layer", "all")
    assert done(*args, "-o", "out/").lines == [f"out/0.{layer}.png" for layer in layers]
    found = done(*args, "-o", "out/", "--format", "npy").lines
    assert found == [f"out/0.{layer}.npy" for layer in layers]
    by_hand = reference.passed(IMAGE)
    np.testing.assert_allclose(np.load("out/0.2.maxpool.npy"), by_hand.pool, rtol=1e-4, atol=1e-4)
    message = refused(2, *args, "-o", "one.png")
    assert "several results of '0.png' would be written to 'one.png'" in message
    assert "--channels goes with one layer" in refused(2, *args, "--channels", 1, "-o", "more/")


def test_pipes(here):
    data = (here / "0.png").read_bytes()
    result = done("explain", "gradcam", "m.safetensors", "-", "-q", stdin=data)
    assert result.stdout.startswith(b"\x89PNG") and names(here) == ["0.png", "m.safetensors"]
    done("explain", "gradcam", "m.safetensors", "0.png", "-q", "-o", "x.png")
    assert (here / "x.png").read_bytes() == result.stdout
    numbers = done("explain", "saliency", "m.safetensors", "0.png", "-o", "-", "--format", "npy")
    assert numbers.stdout.startswith(b"\x93NUMPY")
    # numbers in, numbers out
    np.save("0.npy", np.asarray(picture("0.png")))
    assert done("explain", "saliency", "m.safetensors", "0.npy").lines == ["0.saliency.npy"]
    message = refused(2, "explain", "saliency", "m.safetensors", "0.png", "-o", "-",
                      terminal="stdout")  # fmt: skip
    assert "a picture is not written to a terminal" in message


def test_folders_in_any_number_of_jobs(here):
    write_pictures(here / "in", 7)
    args = ("explain", "saliency", "m.safetensors", "in", "--method", "smoothgrad", "--copies", 3)
    one = done(*args, "-o", "one/", "-j", 1)
    three = done(*args, "-o", "three/", "-j", 3)
    assert one.lines == [f"one/{n}.smoothgrad.png" for n in range(7)]
    assert [line.replace("three", "one") for line in three.lines] == one.lines
    assert one.errors == ["cnntool: 7 done, 0 failed, 0 skipped"]
    for name in os.listdir("one"):
        assert (here / "one" / name).read_bytes() == (here / "three" / name).read_bytes()
    os.remove("one/3.smoothgrad.png")
    assert done(*args, "-o", "one/", "--skip-existing").lines == ["one/3.smoothgrad.png"]


def test_negatives(here):
    write_pictures(here / "dark", 1, negative=True)
    plain = done("explain", "saliency", "m.safetensors", "dark/0.png", "-o", "p.png")
    assert "--invert takes its negative" in plain.stderr
    assert done("explain", "saliency", "m.safetensors", "dark/0.png", "--invert", "-o",
                "i.npy").stderr == ""  # fmt: skip
    done("explain", "saliency", "m.safetensors", "0.png", "-o", "o.npy")
    np.testing.assert_array_equal(np.load("i.npy"), np.load("o.npy"))


# --- what is said


def test_the_layer_that_is_taken_is_named(here):
    line = "cnntool: --layer 1.relu is taken, where the last convolution leads"
    assert done("explain", "gradcam", "m.safetensors", "0.png").errors == [line]
    assert done("explain", "gradcam", "m.safetensors", "0.png", "-f", "-q").errors == []
    named = done("explain", "gradcam", "m.safetensors", "0.png", "-f", "--layer", "1.relu")
    assert named.errors == []


def test_verbose_tells_of_model_and_class(here):
    lines = done("explain", "occlusion", "m.safetensors", "0.png", "-v").errors
    assert lines[0].startswith("cnntool: model: bars, 3 classes, pictures 1×12×10, device cpu")
    score = reference.score(IMAGE, int(LABEL))
    told = lines[-1].removeprefix(f"cnntool: '0.png': '{CLASSES[LABEL]}', share ")
    share, text = told.split(", score ")
    assert 0.9 < float(share) <= 1 and float(text) == pytest.approx(score, rel=1e-3)


def test_a_map_without_anything(here):
    """Maps that all speak against the class leave nothing, which is said."""
    tensors = dict(trained().tensors)
    tensors["4.dense.weight"] = -np.abs(tensors["4.dense.weight"])
    save_model("n.safetensors", changed(tensors=tensors))
    result = done("explain", "gradcam", "n.safetensors", "0.png", "--layer", "1.relu", "--class",
                  "lying")  # fmt: skip
    assert result.errors == ["cnntool: '0.png': nothing in it speaks for 'lying'; the map is empty"]


def test_a_report(here):
    (here / "bad.png").write_bytes(b"nothing")
    result = invoke("explain", "gradcam", "m.safetensors", "bad.png", "0.png", "-q", "-o", "out/",
                    "--report", "r.jsonl")  # fmt: skip
    assert result.status == 1 and result.lines == ["out/0.gradcam.png"]
    rows = [json.loads(line) for line in (here / "r.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["failed", "done"]


# --- what is refused


def test_zero_gradients(here):
    tensors = dict(trained().tensors)
    tensors["0.conv.bias"] = np.full_like(tensors["0.conv.bias"], -100)
    save_model("z.safetensors", changed(tensors=tensors))
    message = refused(1, "explain", "gradcam", "z.safetensors", "0.png", "--layer", "0.conv",
                      "--class", "lying")  # fmt: skip
    assert message == (
        "cnntool: '0.png': the gradient of the score of 'lying' at 0.conv is 0 everywhere: nothing "
        "there changes it; take another --class or --layer"
    )
    message = refused(1, "explain", "saliency", "z.safetensors", "0.png", "--class", "lying")
    assert "the score of 'lying' at the picture is 0 everywhere" in message
    assert names(here) == ["0.png", "m.safetensors", "z.safetensors"]


@pytest.mark.parametrize("way", ["activations", "saliency", "gradcam", "occlusion"])
def test_pictures_and_places_that_do_not_do(here, way):
    args = ("explain", way, "m.safetensors")
    layer = ("--layer", "1.relu") if way in ("activations", "gradcam") else ()
    what = {"activations": "1.relu"}.get(way, way)
    assert refused(1, *args, "gone.png", *layer) == "cnntool: 'gone.png': no such file"
    (here / "cut.png").write_bytes((here / "0.png").read_bytes()[:60])
    assert "'cut.png': truncated PNG" in refused(1, *args, "cut.png", *layer)
    assert "no input; name files" in refused(2, *args, *layer)
    np.save("vector.npy", np.zeros(9, np.float32))
    assert "'vector.npy': " in refused(1, *args, "vector.npy", *layer)
    done(*args, "0.png", *layer)
    message = refused(2, *args, "0.png", *layer)
    assert message.startswith(f"cnntool: '0.{what}.png' exists; -f (--force) overwrites")
    done(*args, "0.png", *layer, "-f")
    message = refused(3, *args, "0.png", *layer, "-o", "no/such/folder/x.png")
    assert "the output folder cannot be used: No such file or directory" in message
    message = refused(2, *args, "0.png", *layer, "-o", "m.safetensors", "-f", "--format", "png")
    assert "'m.safetensors' is an input and is never overwritten" in message
    assert "'x.txt': pictures cannot be written with this suffix" in refused(
        2, *args, "0.png", *layer, "-o", "x.txt"
    )


def test_pictures_of_other_kinds(here):
    """Sizes, depths and opacity do not matter; numbers that are none do."""
    plain = np.asarray(picture("0.png"))
    Image.fromarray(plain.astype(np.uint16) * 257).save("deep.png")
    Image.merge("LA", [picture("0.png"), Image.new("L", SIZE[::-1], 255)]).save("clear.png")
    Image.fromarray(np.kron(plain, np.ones((3, 3), np.uint8))).save("large.bmp")
    expected = None
    for name in ("0.png", "deep.png", "clear.png", "large.bmp"):
        result = done("explain", "saliency", "m.safetensors", name, "-f", "-o", "x.npy")
        assert result.errors == []
        expected = np.load("x.npy") if expected is None else expected
        assert np.load("x.npy").shape == SIZE
        if name != "large.bmp":  # brought to the size by mixing neighbours
            np.testing.assert_array_equal(np.load("x.npy"), expected)
    np.save("nan.npy", np.full(SIZE, np.nan, np.float32))
    message = refused(1, "explain", "saliency", "m.safetensors", "nan.npy", "-o", "y.png")
    assert "'nan.npy': NaN or infinity among its samples" in message


def test_layers_and_classes_that_there_are_not(here):
    model = ("m.safetensors", "0.png")
    message = refused(2, "explain", "activations", *model, "--layer", "1.rellu")
    assert message == (
        "cnntool: unknown layer '1.rellu'; did you mean '1.relu'? There are 0.conv, 1.relu, "
        "2.maxpool, 3.flatten, 4.dense"
    )
    assert refused(2, "explain", "activations", *model) == (
        "cnntool: which layer? --layer takes 0.conv, 1.relu, 2.maxpool, 3.flatten, 4.dense, or all"
    )
    assert "unknown layer 'x'; there are 0.conv" in refused(
        2, "explain", "gradcam", *model, "--layer", "x"
    )
    assert "layer 4.dense gives 3 numbers, no maps" in refused(
        2, "explain", "gradcam", *model, "--layer", "4.dense"
    )
    for way in ("saliency", "gradcam", "occlusion"):
        assert refused(2, "explain", way, *model, "--class", "lyin") == (
            "cnntool: unknown class 'lyin'; did you mean 'lying'? There are standing, lying, "
            "slanting"
        )
    message = refused(2, "explain", "activations", *model, "--layer", "0.conv", "--channels", "4-6")
    assert "layer 0.conv has no channel 6; it gives 6×12×10, channels 0 to 5" in message


@pytest.mark.parametrize(("options", "words"), [
    (["--channels", "3-1"], "'3-1' does not name channels; write numbers and ranges: 0-7,12"),
    (["--channels", "x"], "'x' does not name channels"),
    (["--channels", "0-999999"], "are more than 65536 channels"),
])  # fmt: skip
def test_lists_of_channels(here, options, words):
    args = ("explain", "activations", "m.safetensors", "0.png", "--layer", "0.conv")
    assert words in refused(2, *args, *options)


@pytest.mark.parametrize("option", ["steps", "copies", "noise", "seed", "baseline"])
def test_options_of_one_method(here, option):
    value = "white" if option == "baseline" else 2
    message = refused(2, "explain", "saliency", "m.safetensors", "0.png", f"--{option}", value)
    owner = "integrated" if option in ("steps", "baseline") else "smoothgrad"
    assert f"--{option} goes with --method {owner}" in message


def test_patches_as_large_as_the_picture(here):
    message = refused(2, "explain", "occlusion", "m.safetensors", "0.png", "--size", "12,10")
    assert "a patch of 12×10 covers all of a picture of 12×10" in message


def test_models_that_do_not_do(here):
    from small_models import numbers

    from cnntool.nn.modelfile import Preprocessing, SavedModel
    from cnntool.nn.saved_model import HogFeatures

    how = Preprocessing(color="gray", mean=(0.0,), std=(1.0,))
    features = HogFeatures(size=SIZE, cell=(4, 4), block=(2, 2))
    models = {
        "v": ("dense 3", (7,), {}),
        "s": ("conv 2 1", (1, 5, 6), {"task": "segment"}),
        "g": ("dense 9 | reshape 1x3x3", (4,), {"task": "generate"}),
        "h": ("dense 3", (features.length,), {
            "features": features,
            "preprocessing": Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,)),
        }),
    }  # fmt: skip
    for name, (spec, shape, fields) in models.items():
        save_model(f"{name}.safetensors", SavedModel(
            spec=spec, input=shape, tensors=numbers(spec, shape),
            **({"preprocessing": how} | fields),
        ))  # fmt: skip
    args = ("0.png", "--layer", "0.dense")
    assert "it takes vectors of 7 numbers" in refused(
        2, "explain", "activations", "v.safetensors", *args
    )
    message = refused(2, "explain", "activations", "h.safetensors", *args)
    assert "it sees histograms of gradients, not pictures" in message
    assert "a model that makes pictures; a classifier or one that segments is needed" in refused(
        2, "explain", "activations", "g.safetensors", *args
    )
    for way in ("saliency", "gradcam", "occlusion"):
        assert "a model that segments; a classifier is needed here" in refused(
            2, "explain", way, "s.safetensors", "0.png"
        )
    done("explain", "activations", "s.safetensors", "0.png", "--layer", "0.conv", "-o", "s.png")
    assert "'x.safetensors': no such file" in refused(
        1, "explain", "gradcam", "x.safetensors", "0.png"
    )
    assert "a PNG picture; the model comes first" in refused(
        4, "explain", "gradcam", "0.png", "m.safetensors"
    )
    assert "is a built-in network without weights" in refused(
        2, "explain", "gradcam", "lenet5", "0.png"
    )


# --- the command itself


def test_bare_command_and_wrong_words():
    bare = invoke("explain")
    assert bare.status == 2 and bare.text.startswith("Usage: cnntool explain")
    assert all(f"  {name} " in bare.text for name in WAYS)
    assert refused(2, "explain", "gradcm", "m", "x.png", "--layer", "y") == (
        "cnntool: unknown way to explain 'gradcm'; did you mean 'gradcam'? "
        "See 'cnntool explain --help'"
    )


@pytest.mark.parametrize("way", WAYS)
def test_help_begins_with_examples(way):
    lines = done("explain", way, "--help").lines
    assert lines[0].startswith(f"Usage: cnntool explain {way} [OPTIONS] MODEL")
    assert lines[2] == "Examples:" and lines[3].startswith(f"  cnntool explain {way} ")
    assert max(map(len, lines)) <= 100
    assert "--device" in "".join(lines) and "default: auto" in " ".join(lines)
    command = WAYS[way]
    assert command.help.splitlines()[0] == command.short_help
    for parameter in command.params:
        if help := getattr(parameter, "help", ""):
            assert help[0].isupper() and help[-1] in ".]", parameter.opts


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from cnntool.cli.main import _run\n"
        f"assert not any(_run(['explain', way, '-h']) for way in {list(WAYS)})\n"
        "names = ('numpy', 'scipy', 'cupy', 'PIL', 'rich')\n"
        "sys.exit(str([name for name in names if name in sys.modules] or 0))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.stderr.strip() == b"0", found.stderr


def complete(words, place):
    result = done(env={
        "_CNNTOOL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)
    })  # fmt: skip
    return [line.rpartition(",")[2] for line in result.lines if line]


def test_completion(here):
    assert complete("cnntool explain ", 2) == list(WAYS)
    assert complete("cnntool explain gr", 2) == ["gradcam"]
    layers = ["0.conv", "1.relu", "2.maxpool", "3.flatten", "4.dense"]
    assert complete("cnntool explain gradcam m.safetensors --layer ", 5) == layers
    assert complete("cnntool explain gradcam m.safetensors 0.png --layer 1", 6) == ["1.relu"]
    assert complete("cnntool explain activations m.safetensors --layer a", 5) == ["all"]
    assert complete("cnntool explain saliency m.safetensors --class ", 5) == list(CLASSES)
    assert complete("cnntool explain maximize m.safetensors --class s", 5) == [
        "standing", "slanting",
    ]  # fmt: skip
    assert complete("cnntool explain saliency m.safetensors --layer 0.conv --class l", 7) == [
        "lying"
    ]
    assert complete("cnntool explain gradcam gone.safetensors --layer ", 5) == []
    assert complete("cnntool explain gradcam 0.png --class ", 5) == []
    assert "integrated" in complete("cnntool explain saliency m --method in", 5)
    save_model("n.safetensors", changed(classes=()))
    assert complete("cnntool explain saliency n.safetensors --class ", 5) == ["0", "1", "2"]


def test_configuration(here):
    (here / "c.toml").write_text(
        'device = "cpu"\n[explain]\ninvert = true\nsteps = 3\n[explain.saliency]\n'
        'method = "integrated"\n'
    )
    done("explain", "saliency", "m.safetensors", "0.png", "-o", "a.npy", "--config", "c.toml")
    done("explain", "saliency", "m.safetensors", "0.png", "-o", "b.npy", "--invert", "--method",
         "integrated", "--steps", 3)  # fmt: skip
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    # a command that has neither steps nor a method
    done("explain", "gradcam", "m.safetensors", "0.png", "-q", "-o", "g.png", "--config", "c.toml")
    (here / "c.toml").write_text("[explain.saliency]\nmethd = 3\n")
    message = refused(2, "explain", "saliency", "m.safetensors", "0.png", "--config", "c.toml")
    words = (
        "unknown option in [explain.saliency] of the configuration 'methd'; did you mean 'method'"
    )
    assert words in message
    (here / "c.toml").write_text("[explain.salience]\nmethod = 3\n")
    message = refused(2, "explain", "saliency", "m.safetensors", "0.png", "--config", "c.toml")
    words = "unknown option in [explain] of the configuration 'salience'; did you mean 'saliency'"
    assert words in message


def test_variables(here):
    variables = {"CNNTOOL_EXPLAIN_SALIENCY_METHOD": "guided", "CNNTOOL_CLASS": "lying"}
    assert done("explain", "saliency", "m.safetensors", "0.png", env=variables).lines == [
        "0.guided.png"
    ]


def test_on_a_gpu(here, double_as_gpu):
    for way, options in (
        ("activations", ["--layer", "0.conv"]),
        ("saliency", []),
        ("gradcam", ["--layer", "1.relu"]),
        ("occlusion", []),
    ):
        found = []
        for device in ("cpu", "gpu"):
            done("explain", way, "m.safetensors", "0.png", *options, "--device", device, "-f", "-o",
                 "x.npy")  # fmt: skip
            found.append(np.load("x.npy"))
        np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_a_device_that_is_not_there(here):
    message = refused(3, "explain", "saliency", "m.safetensors", "0.png", "--device", "gpu:99")
    assert "gpu:99" in message or "CuPy" in message
