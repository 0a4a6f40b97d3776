"""A class for every pixel, from made pictures to masks: ``datasets make``, ``train``, ``predict``,
``evaluate``."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from PIL import Image
from training_runs import report, without_matplotlib

from cnntool.nn.network import Network
from cnntool.nn.spec import parse
from cnntool.predict.model import TrainedModel

SPEC = "conv 8 5 pad=2 | relu | pooled 2 (conv 8 3 pad=1 | relu) | conv 4 3 pad=1"
FAST = ("--model", SPEC, "--epochs", 3, "--batch-size", 10, "--lr", 0.02, "--threads", 1)
CLASSES = ["background", "ellipse", "rectangle", "triangle"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the data set ``shapes`` and a run ``r``."""
    top = tmp_path_factory.mktemp("made")
    before = os.getcwd()
    os.chdir(top)
    try:
        with pytest.MonkeyPatch.context() as patch:
            without_matplotlib(patch)
            done("datasets", "make", "shapes", "shapes", "--count", 60, "--size", "24x32")
            trained = done("train", "shapes", *FAST, "-o", "r", "--val-split", 0.1)
    finally:
        os.chdir(before)
    return top, trained


@pytest.fixture
def here(made, monkeypatch, tmp_path):
    """The current folder is that of the data set; results go to ``tmp_path``."""
    monkeypatch.chdir(made[0])
    without_matplotlib(monkeypatch)
    return tmp_path


def samples(path, mode=None):
    with Image.open(path) as picture:
        return np.asarray(picture if mode is None else picture.convert(mode))


def truth(number):
    return samples(f"shapes/test/masks/{number}.png")


# --- training


def test_the_files_of_a_run(made, here):
    names = ["model.safetensors", "metrics.csv", "run.json", "confusion.png", "samples.png"]
    assert made[1].lines == [f"r/{name}" for name in names]
    rows = list(csv.DictReader(Path("r/metrics.csv").read_text().splitlines()))
    assert len(rows) == 3 and 0 < float(rows[-1]["val_mean_iou"]) < 1
    found = report("r")
    assert found["options"]["loss"] == "both" and found["options"]["classes"] == CLASSES
    assert set(found["test"]) == {"accuracy", "loss", "mean_iou", "dice"}
    errors = "\n".join(made[1].errors)
    for words in ("classes   4: background (", "mean IoU 0.", "of pixels", "overlaps: "):
        assert words in errors
    with Image.open("r/samples.png") as sheet:
        assert sheet.width > 400 and sheet.height > 400


def test_stopped_and_resumed_is_uninterrupted(here):
    """Masks move with pictures, drawn anew in every step, and nothing of it is forgotten."""
    extra = ("--augment", "hflip | rotate 20 | noise 5", "--loss", "both", "--class-weight")
    args = ("train", "shapes", *FAST, *extra, "balanced")
    done(*args, "-o", here / "whole")
    done(*args, "-o", here / "parts", "--stop-after", 1)
    done("train", "--resume", here / "parts", "--threads", 1)
    one, other = (TrainedModel.load(here / name, tasks=("segment",)) for name in ("whole", "parts"))
    for name, value in one.network.tensors.items():
        np.testing.assert_array_equal(value, other.network.tensors[name])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "conv 8 3 | flatten | dense 4"), "ends in 4 numbers, 'shapes' has 4 classes"),
        (("--model", "conv 4 3"), "ends in 4×22×30, 'shapes' has 4 classes for pixels of 24×32"),
        (("--model", "hog-logreg"), "every pixel has a class there, and hog-logreg tells one"),
        (("--loss", "dice", "--label-smoothing", 0.1), "Dice has no use for it"),
    ],
)
def test_what_does_not_fit(here, arguments, words):
    assert words in refused(2, "train", "shapes", "-o", here / "x", *arguments)


def test_losses_of_pixels_need_pixels(here):
    line = refused(2, "train", "mnist", "--loss", "dice", "--limit", 100, "-o", here / "x")
    assert "--loss dice compares regions of pixels, and 'mnist' has one class for a picture" in line


# --- masks


def answers(name):
    """(K, H, W) shares of a test picture, by the network itself."""
    model = TrainedModel.load("r", tasks=("segment",))
    network = Network(parse(model.saved.spec), (3, 24, 32))
    network.load(model.network.state())
    pixels = samples(name, "RGB").astype(np.float32)
    how = model.preprocess.how
    x = (pixels / 255 - np.float32(how.mean)) / np.float32(how.std)
    logits = network.predict(x.transpose(2, 0, 1)[..., None].astype(np.float32))[..., 0]
    shares = np.exp(logits - logits.max(axis=0))
    return shares / shares.sum(axis=0)


def test_masks_have_a_palette(here):
    name = "shapes/test/images/2.png"
    result = done("predict", "r", name, "-o", here / "m.png")
    assert result.lines == [str(here / "m.png")]
    with Image.open(here / "m.png") as mask:
        assert mask.mode == "P" and mask.size == (32, 24)
        assert mask.getpalette()[:6] == [0, 0, 0, 230, 60, 60]
        np.testing.assert_array_equal(np.asarray(mask), answers(name).argmax(axis=0))


def test_kinds_of_masks(here):
    name, shares = "shapes/test/images/1.png", answers("shapes/test/images/1.png")
    for kind in ("index", "overlay", "prob"):
        done("predict", "r", name, "--mask", kind, "-o", f"{here}/")
    index = samples(here / "1.mask.png")
    np.testing.assert_array_equal(index, shares.argmax(axis=0))
    np.testing.assert_allclose(np.load(here / "1.prob.npy"), shares, atol=1e-5)
    pixels = samples(name, "RGB").astype(int)
    overlay = samples(here / "1.overlay.png").astype(int)
    np.testing.assert_array_equal(overlay[index == 0], pixels[index == 0])
    red = (pixels[index == 1] + np.array([230, 60, 60])) / 2
    assert np.abs(overlay[index == 1] - red).max(initial=0) <= 0.5
    done("predict", "r", name, "--mask", "prob", "-o", here / "sure.png")
    sure = samples(here / "sure.png").astype(float)
    assert np.abs(sure - 255 * shares.max(axis=0)).max() <= 0.51


def test_masks_have_the_size_of_their_pictures(here, rng):
    big = rng.integers(0, 256, (50, 71, 3), dtype=np.uint8)
    Image.fromarray(big).save(here / "big.png")
    done("predict", "r", here / "big.png", "--mask", "index")
    assert samples(here / "big.mask.png").shape == (50, 71)


def test_tiles_say_what_the_whole_says(here, rng):
    """Far from its edges a tile sees all that the network ever sees of a pixel."""
    Image.fromarray(rng.integers(0, 256, (80, 104, 3), dtype=np.uint8)).save(here / "big.png")
    done("predict", "r", here / "big.png", "--tile", 48, "--mask", "prob", "-o", here / "t.npy")
    tiled = np.load(here / "t.npy")
    assert tiled.shape == (4, 80, 104)
    np.testing.assert_allclose(tiled.sum(axis=0), 1, atol=1e-5)
    model = TrainedModel.load("r", tasks=("segment",))
    network = Network(parse(model.saved.spec), (3, 80, 104))
    network.load(model.network.state())
    how = model.preprocess.how
    pixels = samples(here / "big.png").astype(np.float32)
    x = ((pixels / 255 - np.float32(how.mean)) / np.float32(how.std)).transpose(2, 0, 1)
    logits = network.predict(np.ascontiguousarray(x)[..., None].astype(np.float32))[..., 0]
    whole = np.exp(logits) / np.exp(logits).sum(axis=0)
    assert np.abs(tiled - whole).mean() < 0.01
    # tiles begin at 0, 32 down and 0, 28, 56 across: here a single one speaks
    np.testing.assert_allclose(tiled[:, :20, :16], whole[:, :20, :16], atol=1e-4)


def test_small_pictures_are_filled_up(here, rng):
    Image.fromarray(rng.integers(0, 256, (9, 30, 3), dtype=np.uint8)).save(here / "small.png")
    done("predict", "r", here / "small.png", "--tile", 24, "--mask", "index", "-o", here / "m.png")
    assert samples(here / "m.png").shape == (9, 30)


def test_in_a_pipe_and_over_a_folder(here):
    data = Path("shapes/test/images/0.png").read_bytes()
    piped = done("predict", "r", "-", stdin=data).stdout
    done("predict", "r", "shapes/test/images", "-o", f"{here}/masks/")
    assert (here / "masks/0.mask.png").read_bytes() == piped
    assert len(os.listdir(here / "masks")) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--top", 3), "--top is for models that tell classes of pictures"),
        (("--json",), "--json is for models that tell classes of pictures"),
        (("--mask", "palette", "-o", "x.jpg"), "JPEG holds no palette here; write png"),
        (("--mask", "index", "-o", "x.jpg"), "JPEG would change class numbers; write png"),
    ],
)
def test_what_cannot_be_asked_for(here, arguments, words):
    result = invoke("predict", "r", "shapes/test/images/0.png", *arguments)
    assert result.status in (1, 2) and words in "\n".join(result.errors)


def test_masks_of_a_model_of_pictures(here):
    done("train", "mnist", "--limit", 50, "--epochs", 1, "-o", here / "d", "--model",
         "maxpool 4 | flatten | dense 10")  # fmt: skip
    line = refused(2, "predict", here / "d", "shapes/test/images/0.png", "--mask", "index")
    assert "--mask is for models that tell classes of pixels" in line
    assert "pictures have one class there" in refused(2, "evaluate", "r", "mnist")


# --- evaluation


def test_overlaps_by_hand(here):
    """Against the masks that predict writes."""
    found = json.loads(done("evaluate", "r", "shapes", "--json").stdout)
    done("predict", "r", "shapes/test/images", "--mask", "index", "-o", f"{here}/")
    pairs = [(truth(n), samples(here / f"{n}.mask.png")) for n in range(6)]
    true, told = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
    assert found["accuracy"] == pytest.approx((true == told).mean())
    ious = []
    for number, row in enumerate(found["per_class"]):
        inside = ((true == number) & (told == number)).sum()
        union = ((true == number) | (told == number)).sum()
        both = (true == number).sum() + (told == number).sum()
        assert row["label"] == CLASSES[number] and row["pixels"] == (true == number).sum()
        if union:
            ious.append(inside / union)
            assert row["iou"] == pytest.approx(inside / union)
            assert row["dice"] == pytest.approx(2 * inside / both)
        else:
            assert row["iou"] is None
    assert found["mean_iou"] == pytest.approx(np.mean(ious))
    tested = report("r")["test"]
    assert tested["mean_iou"] == pytest.approx(found["mean_iou"], rel=1e-6)


def test_what_evaluate_prints_and_writes(here):
    result = done(
        "evaluate", "r", "shapes", "--confusion", here / "c.csv", "--top-losses", 3, here / "w.png"
    )
    assert result.lines[0] == "6 test pictures of 'shapes'"
    for words in ("mean IoU  0.", "Dice      0.", "of 4608 pixels", "label       iou"):
        assert words in result.text
    table = list(csv.reader(io.StringIO((here / "c.csv").read_text())))
    assert sum(int(n) for row in table[1:] for n in row[1:]) == 6 * 24 * 32
    assert samples(here / "w.png").shape[0] > 300
    rows = list(csv.DictReader(io.StringIO(done("evaluate", "r", "shapes", "--csv").text)))
    assert [row["label"] for row in rows] == CLASSES


def test_gates(here):
    assert invoke("evaluate", "r", "shapes", "--fail-under", "accuracy=0.1", "-q").status == 0
    result = invoke("evaluate", "r", "shapes", "--fail-under", "mean-iou=1", "-q")
    assert result.status == 1 and "under 1" in result.errors[-1]
    line = refused(2, "evaluate", "r", "shapes", "--fail-under", "top-2=0.5")
    assert "unknown measure 'top-2'" in line
    assert "unknown measure" in refused(2, "evaluate", "r", "shapes", "--fail-under", "iou=0.5")


# --- made data sets


def test_a_made_data_set(folder):
    result = done("datasets", "make", "digit-scenes", "d", "--count", 12, "--size", "32x40")
    assert result.lines == ["d"]
    assert result.errors[-1] == (
        "cnntool: 12 train, 1 test pictures 32x40 of 11 classes; go on with: cnntool train 'd'"
    )
    assert (folder / "d/classes.txt").read_text().split() == ["background", *"0123456789"]
    facts = json.loads(done("datasets", "d", "--json").stdout)
    assert facts["task"] == "segment" and facts["parts"] == {"train": 12, "test": 1}
    before = (folder / "d/train/images/03.png").read_bytes()
    assert "'d' exists; -f (--force) replaces it" in refused(2, "datasets", "make", "shapes", "d")
    done("datasets", "make", "digit-scenes", "d", "--count", 20, "--size", "32x40", "-f", "-q")
    assert (folder / "d/train/images/03.png").read_bytes() == before  # the first ones stay
    done("datasets", "make", "digit-scenes", "e", "--count", 4, "--size", "32x40", "--seed", 1)
    assert (folder / "e/train/images/3.png").read_bytes() != before
    assert sorted(os.listdir(folder)) == ["d", "e"]


def test_made_data_sets_that_cannot_be(folder):
    assert "unknown kind of data 'shaped'" in refused(2, "datasets", "make", "shaped", "d")
    line = refused(2, "datasets", "make", "shapes", "d", "--size", "8x20")
    assert "pictures of 8x20 show nothing; --size takes 16x16 or more" in line
    (folder / "file").write_text("")
    assert "exists and is no folder" in refused(2, "datasets", "make", "shapes", "file")
    assert invoke("datasets", "make", "shapes", "file/d").status == 3
    (folder / "thesis").mkdir()
    (folder / "thesis/text").write_text("mine")
    line = refused(2, "datasets", "make", "shapes", "thesis", "-f")
    assert "'thesis' holds other files than a made data set; choose another folder" in line
    assert sorted(os.listdir(folder)) == ["file", "thesis"]


def test_networks_without_batch_normalisation_learn_more_slowly(folder):
    """The rate that is best with it kills them."""
    done("datasets", "make", "shapes", "d", "--count", 4, "--size", "16x16", "-q")
    Path("plain.txt").write_text("conv 4 1  # without batchnorm\n")
    for spec, rate in (
        ("conv 8 3 pad=1 | batchnorm | relu | conv 4 1", 0.012),
        ("conv 8 3 pad=1 | BatchNorm2d | relu | conv 4 1", 0.012),
        ("conv 4 1", 0.002),
        ("@plain.txt", 0.002),
    ):
        assert f"lr = {rate}" in done("train", "d", "--model", spec, "--dry-run").lines
    assert "lr = 0.5" in done("train", "d", "--model", "conv 4 1", "--lr", 0.5, "--dry-run").lines
