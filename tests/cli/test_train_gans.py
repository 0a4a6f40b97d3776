"""``train`` of generators: all kinds on small pictures, what is left, how it goes on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from data_files import npz
from PIL import Image
from trained_models import bars
from training_runs import bytes_of, metrics, report, without_matplotlib

from cnntool.models.adversarial import GANS
from cnntool.predict.generator import Generator
from cnntool.train import run_folder

ONE = """
latent 6
condition {}
stage 8x8
generator dense 16 | relu | dense {} | tanh | reshape {}x8x8
discriminator flatten | dense 12 | leakyrelu 0.2 | dense {}
"""
FAST = ("--epochs", 1, "--limit", 40, "--batch-size", 8, "--threads", 1)


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    without_matplotlib(monkeypatch)


def write_npz(path="bars.npz", seed=1, **arrays):
    """90 bars of 8x8, and 30 to test with; its path."""
    for part, count, number in (("train", 90, seed), ("test", 30, seed + 1)):
        x, y = bars(count, number, (8, 8))
        arrays = {f"x_{part}": x[:, 0], f"y_{part}": y, **arrays}
    Path(path).write_bytes(npz(arrays))
    return str(path)


def write(path="g.txt", condition="none", channels=1, outputs=1, text=ONE):
    Path(path).write_text(text.format(condition, 64 * channels, channels, outputs))
    return f"@{path}"


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_everything_is_left(capfd):
    source = write_npz()
    result = done("train", source, "--model", write(), *FAST, "--epochs", 3, "-o", "r")
    names = ["model.safetensors", "metrics.csv", "run.json", "samples.png", "samples.gif"]
    assert result.lines == [os.path.join("r", name) for name in names]
    assert sorted(os.listdir("r/samples")) == [f"epoch-00{n}.png" for n in (1, 2, 3)]
    with Image.open("r/samples.gif") as film:
        assert film.n_frames == 3
    assert size_of("r/samples.png") == size_of("r/samples/epoch-003.png") == (604, 604)
    rows = metrics("r")
    assert list(rows[0]) == [
        "epoch", "d_loss", "g_loss", "real", "fake", "variety", "lr", "images_per_second",
        "seconds",
    ]  # fmt: skip
    assert len(rows) == 3
    found = report("r")
    assert found["options"]["model"] == "custom"
    assert found["test"] is None
    assert found["complete"]
    assert "curves" not in result.stdout.decode()
    text = result.stderr
    assert "networks  custom: 8x8 by 1200 parameters, judged by 793" in text
    assert "pictures  of 6 random numbers" in text
    assert "training  adam, lr 0.0002, batches of 8, 3 epochs, nonsaturating loss, seed 0" in text
    assert "epoch 1/3  discriminator " in text
    assert " variety " in text
    assert "plot" in text  # why there are no curves


@pytest.mark.parametrize("name", [name for name in GANS if name != "translate"])
def test_built_in_networks(name):
    """For small pictures, in their default condition."""
    result = done("train", write_npz(), "--model", name, *FAST, "--latent", 5, "-o", "r")
    assert f"networks  {name}: " in result.stderr
    assert "pictures  of 5 random numbers" in result.stderr
    generator = Generator.load("r")
    assert generator.shape == (1, 8, 8)
    assert generator.generation.condition == GANS[name].conditions[0]
    stages = len(generator.networks)
    assert len(metrics("r")) == stages
    if stages > 1:
        assert f"1 epoch for each of {stages} stages" in result.stderr
        assert f"epoch 1/{stages}  stage 1  discriminator" in result.stderr
    made = done("generate", "r", "--seeds", "0-3", "-o", "g.png")
    assert made.lines == ["g.png"]


@pytest.mark.parametrize("condition", ["superres", "inpaint"])
def test_pictures_of_pictures(condition):
    result = done("train", write_npz(), "--condition", condition, *FAST)
    folder = f"runs/bars-{condition}"
    assert result.lines[0] == os.path.join(folder, "model.safetensors")
    assert "content" in metrics(folder)[0]
    found = report(folder)["compared"]
    line = f"against the true pictures: PSNR {found['psnr']:.2f} dB; what it got had"
    assert line in result.stderr
    assert "networks  translate: 8x8 by" in result.stderr
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("a.png")
    done("generate", folder, "a.png")
    assert size_of(f"a.{condition}.png") == (8, 8)


def test_colours_of_grey_pictures():
    x, y = bars(40, 1, (8, 8))
    colour = np.concatenate([x, 255 - x, x // 2], axis=1)
    Path("c.npz").write_bytes(npz({"x_train": colour, "y_train": y}))
    done("train", "c.npz", "--condition", "colorize", *FAST, "-o", "r")
    Image.fromarray(x[0, 0]).save("a.png")
    done("generate", "r", "a.png")
    with Image.open("a.colorize.png") as image:
        assert image.mode == "RGB"
    line = refused(2, "train", write_npz(), "--condition", "colorize", *FAST, "-o", "s")
    assert "colorize needs pictures in colour; these are grey" in line


def test_vectors(rng):
    vectors = rng.standard_normal((90, 4)).astype(np.float32)
    source = write_npz(vectors_train=vectors)
    result = done("train", source, "--model", "conditional", "--condition", "vector", *FAST,
                  "-o", "r")  # fmt: skip
    assert "pictures  of 64 random numbers and a vector of 4 numbers" in result.stderr
    np.save("v.npy", vectors[:2])
    assert done("generate", "r", "--vectors", "v.npy", "--seeds", "0,1", "-o", "d/").lines == [
        "d/vector-0/0000.png", "d/vector-0/0001.png", "d/vector-1/0000.png", "d/vector-1/0001.png"
    ]  # fmt: skip
    line = refused(2, "generate", "r", "-o", "x.png")
    assert "this model takes vectors of 4 numbers: --vectors FILE.npy" in line
    np.save("w.npy", np.zeros((2, 5)))
    line = refused(2, "generate", "r", "--vectors", "w.npy", "-o", "x.png")
    assert "'w.npy': 2x5 numbers; vectors of 4 are needed, one a row, all finite" in line
    np.save("n.npy", np.full((2, 4), np.nan))
    assert "all finite" in refused(2, "generate", "r", "--vectors", "n.npy", "-o", "x.png")
    line = refused(1, "generate", "r", "--vectors", "none.npy", "-o", "x.png")
    assert "none.npy" in line
    line = refused(2, "train", write_npz("b.npz"), "--condition", "vector", "--model", "dcgan",
                   *FAST)  # fmt: skip
    assert "'b' has no vectors; an .npz with vectors_train (M, K) beside x_train has some" in line


# --- stopping


def test_stopped_and_resumed_is_uninterrupted():
    source, model = write_npz(), write(condition="class", outputs=4)
    options = ("--model", model, *FAST, "--epochs", 4)
    done("train", source, *options, "-o", "whole")
    done("train", source, *options, "-o", "part", "--stop-after", 2)
    assert len(metrics("part")) == 2
    done("train", "--resume", "part", "--threads", 1)
    assert bytes_of("part") == bytes_of("whole")
    for name in ("samples.png", "samples.gif"):
        assert bytes_of("part", name) == bytes_of("whole", name)
    for n in range(1, 5):
        name = f"samples/epoch-00{n}.png"
        assert bytes_of("part", name) == bytes_of("whole", name)


def test_more_epochs():
    source = write_npz()
    done("train", source, "--model", write(), *FAST, "-o", "r")
    done("train", "--resume", "r", "--epochs", 2, "--threads", 1)
    done("train", source, "--model", write(), *FAST, "--epochs", 2, "-o", "whole")
    assert bytes_of("r") == bytes_of("whole")


def test_stages_cannot_be_made_longer():
    """Those that are complete would have had more epochs."""
    done("train", write_npz(), "--model", "stackgan", *FAST, "-o", "r")
    line = refused(4, "train", "--resume", "r", "--epochs", 2, "--threads", 1)
    assert "cannot be extended to 2 epochs: its first stage is complete, and all have" in line


def test_fewer_epochs_end_no_stage():
    """As many as the first stage has had would leave nothing for the second one."""
    options = (*FAST, "--epochs", 3, "--stop-after", 2)
    done("train", write_npz(), "--model", "stackgan", *options, "-o", "r")
    line = refused(4, "train", "--resume", "r", "--epochs", 2, "--threads", 1)
    assert "cannot be extended to 2 epochs: its first stage is complete, and all have" in line
    done("train", "--resume", "r", "--epochs", 4, "--threads", 1)
    assert [row["stage"] for row in metrics("r")] == ["1"] * 4 + ["2"] * 4


def test_stopped_in_the_first_stage():
    """What there is makes pictures already, poor ones."""
    result = done("train", write_npz(), "--model", "stackgan", *FAST, "--stop-after", 1, "-o", "r")
    assert "1 of 2 stages have learned: until the others have, the model's pictures are noise" in (
        result.stderr
    )
    assert report("r")["complete"] is False
    assert len(metrics("r")) == 1
    done("generate", "r", "-o", "g.png")
    done("train", "--resume", "r", "--threads", 1)
    done("train", "bars.npz", "--model", "stackgan", *FAST, "-o", "whole")
    assert bytes_of("r") == bytes_of("whole")


def test_divergence_keeps_what_was_finite():
    source = write_npz()
    done("train", source, "--model", write(), *FAST, "-o", "r")
    result = invoke("train", source, "--model", write(), *FAST, "--lr", 1e30, "-o", "s")
    assert result.status == 5
    assert "training diverged in epoch 1, step" in result.stderr
    assert "take a smaller --lr" in result.stderr


def test_divergence_is_seen_before_numbers_are_infinite():
    result = invoke("train", write_npz(), "--model", "dcgan", *FAST, "--lr", 1e9, "-o", "r")
    assert result.status == 5
    assert "training diverged in epoch 1" in result.stderr
    assert not Path("r/model.safetensors").exists()


def test_a_last_sigmoid_of_the_discriminator_is_that_of_its_loss():
    source, text = write_npz(), ONE.rstrip() + " | sigmoid\n"
    done("train", source, "--model", write(), *FAST, "-o", "r")
    done("train", source, "--model", write(text=text), *FAST, "-o", "s")
    plain, ended = (Generator.load(name).networks[0].state() for name in ("r", "s"))
    assert all(np.array_equal(plain[name], ended[name]) for name in plain)


def test_pictures_that_cannot_be_written_end_no_training():
    Path("r").mkdir()
    Path("r/samples").write_text("in the way")
    result = done("train", write_npz(), "--model", write(), *FAST, "--epochs", 2, "-o", "r", "-f")
    assert "training goes on without this picture" in result.stderr
    assert len(metrics("r")) == 2
    assert Path("r/samples").read_text() == "in the way"


def test_sheets_of_all_stages_are_equally_large():
    done("train", write_npz(), "--model", "lapgan", *FAST, "-o", "r")
    assert len({size_of(path) for path in Path("r/samples").iterdir()}) == 1


def test_the_film_is_in_the_order_of_epochs():
    Path("samples").mkdir()
    for number in (999, 1000, 2):
        Path(f"samples/epoch-{number:03}.png").write_bytes(str(number).encode())
    assert run_folder.samples(".") == [b"2", b"999", b"1000"]


def test_changed_data():
    source = write_npz()
    done("train", source, "--model", write(), *FAST, "--epochs", 2, "--stop-after", 1, "-o", "r")
    write_npz(seed=5)
    assert "r" in refused(4, "train", "--resume", "r", "--threads", 1)


# --- what is asked for


def test_dry_run():
    result = done("train", write_npz(), "--model", "conditional", "--dry-run")
    assert "model = conditional" in result.lines
    assert "gan_loss = nonsaturating" in result.lines
    assert "condition class" in result.lines
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--optimizer", "sgd"), "--optimizer means nothing to the training of a generator"),
        (("--val-split", 0.1), "--val-split means nothing to the training of a generator"),
        (("--augment", "hflip"), "--augment means nothing to the training of a generator"),
        (("--condition", "superres"), "unknown condition of dcgan 'superres'"),
        (("--batch-size", 1), "--batch-size must be from 2 to 1000000, got 1"),
        (("--content", 3), "--content compares a made picture with the true one; this generator"),
        (("--limit", 1), "a generator learns from 2 pictures or more; there is one"),
        (("--size", "7x8"), "dcgan makes pictures whose sides are divisible by 4, got 7"),
    ],
)
def test_requests_that_make_no_sense(options, message):
    line = refused(2, "train", write_npz(), "--model", "dcgan", *options)
    assert message in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--latent", 5), "--latent is for generators, such as conditional"),
        (("--gan-loss", "minimax"), "--gan-loss is for generators, such as conditional"),
        (("--d-steps", 2), "--d-steps is for generators, such as conditional"),
        (("--content", 2), "--content is for generators, such as conditional"),
    ],
)
def test_options_of_generators_alone(options, message):
    line = refused(2, "train", write_npz(), "--model", "lenet5", *options)
    assert message in line


def test_texts_of_networks():
    source = write_npz()
    line = refused(2, "train", source, "--model", write(outputs=3), *FAST)
    assert "discriminator: from 1×8×8 it makes 3 numbers; needed: 1 number" in line
    line = refused(2, "train", source, "--model", write(), "--latent", 4, *FAST)
    assert "--condition and --latent change built-in models; edit the text" in line
    line = refused(2, "train", source, "--model", "latent 3", *FAST)
    assert "0 stages; there must be 1 to 8" in line


def test_pixels_with_classes_are_not_for_generators():
    done("datasets", "make", "shapes", "shapes", "--count", 8, "--size", "16x16")
    line = refused(2, "train", "shapes", "--model", "dcgan")
    assert "every pixel has a class there; generators learn from pictures alone" in line


def test_a_folder_of_pictures_will_do(rng):
    """Classes are for those that need some."""
    Path("p").mkdir()
    for n in range(12):
        Image.fromarray(rng.integers(0, 255, (10, 8, 3), dtype=np.uint8)).save(f"p/{n}.png")
    options = ("--size", "8x8", "--epochs", 2, "--batch-size", 4, "--threads", 1)
    result = done("train", "p", "--model", "vanilla", *options, "--stop-after", 1, "-o", "r")
    assert "12 training pictures 3x8x8" in result.stderr
    done("train", "--resume", "r", "--threads", 1)
    assert len(metrics("r")) == 2
    done("generate", "r", "--count", 3, "-o", "g.png")
    done("train", "p", "--condition", "superres", *options, "-o", "s")
    assert "no folders of classes; 12 pictures lie in it" in refused(4, "train", "p")


def test_losses_of_the_game_as_written():
    done("train", write_npz(), "--model", write(), *FAST, "--gan-loss", "minimax", "--d-steps", 2,
         "--label-smoothing", 0, "-o", "r")  # fmt: skip
    assert report("r")["options"]["d_steps"] == 2
    assert float(metrics("r")[0]["g_loss"]) < 0


def test_json_of_models_has_what_can_be_trained():
    rows = json.loads(done("models", "--json").text)
    assert {"dcgan", "stackgan", "lenet5"} <= {row["name"] for row in rows}
