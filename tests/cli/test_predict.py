"""``cnntool predict``: labels and scores, the same however pictures are named."""

import contextlib
import csv
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import done, invoke, process, refused
from PIL import Image
from trained_models import CLASSES, SIZE, bars, changed, trained, write_pictures

from cnntool.nn.modelfile import Preprocessing, SavedModel, save_model
from cnntool.nn.network import Network
from cnntool.nn.spec import parse


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one, with the model in m.safetensors."""
    monkeypatch.chdir(tmp_path)
    save_model("m.safetensors", trained())
    return tmp_path


def rows(result):
    """(path, label, score) of each row of tab-separated values."""
    found = list(csv.reader(io.StringIO(result.text), delimiter="\t"))
    assert found[0] == ["path", "label", "score"]
    return [(path, label, float(score)) for path, label, score in found[1:]]


# --- answers


def test_labels_are_right(here):
    paths, labels = write_pictures(here / "in", 60)
    found = rows(done("predict", "m.safetensors", *paths))
    assert [path for path, _, _ in found] == [str(path) for path in paths]
    assert [label for _, label, _ in found] == [CLASSES[k] for k in labels]
    assert all(0.5 < score <= 1 for _, _, score in found)


def test_scores_are_shares_of_the_softmax(here):
    paths, _ = write_pictures(here / "in", 5)
    network = Network(parse(trained().spec), (1, *SIZE))
    network.load(trained().tensors)
    how = trained().preprocessing
    for path, row in zip(paths, rows(done("predict", "m.safetensors", *paths)), strict=True):
        pixels = np.asarray(Image.open(path), float)
        x = (pixels / 255 - how.mean[0]) / how.std[0]
        logits = network.predict(np.float32(x)[None, :, :, None], logits=True)[:, 0]
        share = np.exp(logits) / np.exp(logits).sum()
        assert row[2] == pytest.approx(share.max(), abs=1e-4)


def test_same_answers_by_file_folder_list_and_stdin(here):
    """Company and order, jobs, workers and batches change nothing, to the last digit printed."""
    paths, _ = write_pictures(here / "in", 80)
    names = [f"in/{n}.png" for n in range(80)]
    expected = done("predict", "m.safetensors", *names).lines
    (here / "list.txt").write_text("\n".join(names))
    for args in (
        ["in"],
        ["--files-from", "list.txt"],
        [*names, "-j", 1],
        [*names, "-j", 3, "--threads", 1],
        [*names, "--threads", 2],
        ["in", "--batch-size", 7],
    ):
        assert done("predict", "m.safetensors", *args).lines == expected
    assert done("predict", "m.safetensors", *reversed(names)).lines[1:] == expected[:0:-1]
    listed = done("predict", "m.safetensors", "--files-from", "-", stdin="\n".join(names).encode())
    assert listed.lines == expected
    for n in (0, 41, 79):
        alone = done("predict", "m.safetensors", names[n]).lines
        assert alone == [expected[0], expected[1 + n]]
        piped = done("predict", "m.safetensors", "-", stdin=paths[n].read_bytes()).lines
        assert piped == [expected[0], expected[1 + n].replace(names[n], "-")]


def test_folder_of_a_run(here):
    os.mkdir("run")
    os.rename("m.safetensors", "run/model.safetensors")
    write_pictures(here / "in", 2)
    assert len(rows(done("predict", "run", "in"))) == 2
    assert len(rows(done("predict", "run/", "in/0.png"))) == 1


def test_folders_in_folders(here):
    write_pictures(here / "in" / "a", 2)
    write_pictures(here / "in" / "b", 2)
    found = rows(done("predict", "m.safetensors", "in", "-r"))
    assert [path for path, _, _ in found] == [
        "in/a/0.png",
        "in/a/1.png",
        "in/b/0.png",
        "in/b/1.png",
    ]
    assert "2 subfolders not entered, -r descends" in refused_rows(
        1, "predict", "m.safetensors", "in"
    )


def refused_rows(status, *args):
    """Standard error of a run that printed a header at most."""
    result = invoke(*args)
    assert result.status == status
    assert len(result.lines) <= 1
    return result.stderr


def test_top(here):
    write_pictures(here / "in", 3)
    best = rows(done("predict", "m.safetensors", "in"))
    found = done("predict", "m.safetensors", "in", "--top", 2).lines
    assert found[0].split("\t") == ["path", "label", "score", "rank"]
    cells = [line.split("\t") for line in found[1:]]
    assert [cell[3] for cell in cells] == ["1", "2"] * 3
    assert [(a, b, float(c)) for a, b, c, rank in cells if rank == "1"] == best
    assert all(float(cells[i][2]) >= float(cells[i + 1][2]) for i in (0, 2, 4))
    # all classes there are, and they add up
    full = json.loads(done("predict", "m.safetensors", "in", "--top", 99, "--json").stdout)
    assert len(full) == 9
    assert {row["label"] for row in full[:3]} == set(CLASSES)
    assert sum(row["score"] for row in full[:3]) == pytest.approx(1, abs=2e-4)
    assert done("predict", "m.safetensors", "in", "--top", 1).lines[1].endswith("\t1")


def test_forms_agree(here):
    write_pictures(here / "in", 4)
    expected = rows(done("predict", "m.safetensors", "in"))
    objects = json.loads(done("predict", "m.safetensors", "in", "--json").stdout)
    assert [list(row) for row in objects] == [["path", "label", "score"]] * 4
    assert [tuple(row.values()) for row in objects] == expected
    lines = done("predict", "m.safetensors", "in", "--as", "jsonl").lines
    assert [json.loads(line) for line in lines] == objects
    table = list(csv.reader(io.StringIO(done("predict", "m.safetensors", "in", "--csv").text)))
    assert [(a, b, float(c)) for a, b, c in table[1:]] == expected
    done("predict", "m.safetensors", "in", "-o", "out.json")
    assert json.loads((here / "out.json").read_text()) == objects


def test_scores_have_few_digits(here):
    write_pictures(here / "in", 40)
    for row in done("predict", "m.safetensors", "in", "--top", 3).lines[1:]:
        assert re.fullmatch(r"[01]\.\d{1,4}", row.split("\t")[2]), row


def test_classes_without_names(here):
    save_model("n.safetensors", changed(classes=()))
    write_pictures(here / "in", 3)
    numbers = [label for _, label, _ in rows(done("predict", "n.safetensors", "in"))]
    names = [label for _, label, _ in rows(done("predict", "m.safetensors", "in"))]
    assert [CLASSES[int(number)] for number in numbers] == names


def test_one_output_tells_two_classes(here):
    """A sigmoid at the end: above a half it is the second class."""
    spec = "flatten | dense 1 bias=no | sigmoid"
    weights = {"1.dense.weight": np.full((1, 120), 0.01, np.float32)}
    how = Preprocessing(color="gray", mean=(0.5,), std=(1.0,))
    save_model("s.safetensors", SavedModel(
        spec=spec, input=(1, *SIZE), tensors=weights, classes=("dark", "bright"), preprocessing=how,
    ))  # fmt: skip
    for name, level in (("a", 0), ("b", 255)):
        Image.new("L", SIZE[::-1], level).save(f"{name}.png")
    share = 1 / (1 + np.exp(-0.5 * 120 * 0.01))
    found = rows(done("predict", "s.safetensors", "a.png", "b.png"))
    assert found == [("a.png", "dark", round(share, 4)), ("b.png", "bright", round(share, 4))]


def test_pictures_of_other_kinds(here):
    """Sizes, colours and depths are brought to those of the model."""
    image = Image.fromarray(bars(1, seed=4)[0][0, 0])
    large = image.resize((50, 60), Image.Resampling.NEAREST)
    large.save("grey.png")
    large.convert("RGB").save("colour.png")
    large.convert("RGB").save("photo.jpg", quality=95)
    np.save("floats.npy", np.asarray(large, np.float32))
    Image.fromarray(np.asarray(large, np.uint16) * 257).save("deep.png")
    found = rows(done("predict", "m.safetensors", "grey.png", "colour.png", "photo.jpg",
                      "floats.npy", "deep.png"))  # fmt: skip
    assert len({label for _, label, _ in found}) == 1
    assert {score for _, _, score in found[:2]} == {found[0][2]}


# --- brightness


def test_dark_on_white_is_noted_and_mended(here):
    paths, labels = write_pictures(here / "in", 12, negative=True)
    result = done("predict", "m.safetensors", *paths)
    note, more, counts = result.errors
    assert re.fullmatch(
        r"cnntool: '.*/in/0\.png': brightness 0\.\d\d is unlike that of the training's pictures, "
        r"0\.\d\d; --invert takes its negative", note,
    )  # fmt: skip
    assert more == "cnntool: 11 more notes of the same kind; -v shows all"
    mended = done("predict", "m.safetensors", *paths, "--invert")
    assert mended.errors == [counts]
    assert [label for _, label, _ in rows(mended)] == [CLASSES[k] for k in labels]


def test_photos_of_dark_bars_on_paper(here, rng):
    """Large, in colour, unevenly lit: noted, and right with --invert."""
    images, labels = bars(9, seed=8)
    y, x = np.mgrid[:120, :100]
    for n, image in enumerate(images):
        ink = np.kron(image[0] / 255.0, np.ones((10, 10)))
        paper = 200 + 0.3 * x + 0.1 * y + rng.normal(0, 3, x.shape)
        photo = Image.fromarray(np.uint8(np.clip(paper * (1 - 0.9 * ink), 0, 255)))
        photo.convert("RGB").save(f"{n}.jpg", quality=85)
    names = [f"{n}.jpg" for n in range(9)]
    assert "; --invert takes its negative" in done("predict", "m.safetensors", *names).errors[0]
    result = done("predict", "m.safetensors", *names, "--invert")
    assert "brightness" not in result.stderr
    assert [label for _, label, _ in rows(result)] == [CLASSES[k] for k in labels]


def test_bright_pictures_inverted_by_mistake(here):
    write_pictures(here / "in", 1)
    result = done("predict", "m.safetensors", "in/0.png", "--invert")
    assert result.errors[0].endswith("; try it without --invert")
    assert done("predict", "m.safetensors", "in/0.png").stderr == ""
    assert done("predict", "m.safetensors", "in/0.png", "--invert", "-q").stderr == ""


# --- failures


def test_bad_files_give_no_row(here):
    write_pictures(here / "in", 3)
    (here / "in" / "1.png").write_bytes(b"not a picture")
    args = ("predict", "m.safetensors", "in/0.png", "in/1.png", "in/2.png", "in/missing.png")
    result = invoke(*args, "--report", "r.jsonl")
    assert result.status == 1
    assert [path for path, _, _ in rows(result)] == ["in/0.png", "in/2.png"]
    assert result.errors[0].startswith("cnntool: 'in/1.png': not a picture")
    assert result.errors[1] == "cnntool: 'in/missing.png': no such file"
    assert result.errors[2] == "cnntool: 2 done, 2 failed, 0 skipped"
    report = [json.loads(line) for line in (here / "r.jsonl").read_text().splitlines()]
    assert [line["status"] for line in report] == ["done", "failed", "done", "failed"]
    assert len(json.loads(invoke(*args, "--json").stdout)) == 2
    stopped = invoke(*args, "--on-error", "stop", "-j", 1)
    assert stopped.status == 1
    assert [path for path, _, _ in rows(stopped)][:1] == ["in/0.png"]


def test_strange_samples_fail_alone(here):
    np.save("nan.npy", np.full(SIZE, np.nan, np.float32))
    np.save("two.npy", np.zeros((*SIZE, 3), np.float32))
    result = invoke("predict", "m.safetensors", "nan.npy", "two.npy")
    assert result.status == 1 and len(rows(result)) == 1
    assert "'nan.npy': NaN or infinity among its samples" in result.stderr


def test_usage(here):
    assert "no input; name files, folders or -" in refused(2, "predict", "m.safetensors")
    assert "Missing argument 'MODEL'" in refused(2, "predict", "-q")
    write_pictures(here / "in", 1)
    message = refused(2, "predict", "m.safetensors", "in", "-o", "m.safetensors", "-f", "--csv")
    assert "'m.safetensors' is an input and is never overwritten" in message
    message = refused(3, "predict", "m.safetensors", "in", "--device", "gpu:99")
    assert "gpu:99" in message or "CuPy" in message


def test_models_that_are_none(here):
    write_pictures(here / "in", 1)
    (here / "x.pt").write_bytes(pickle.dumps({"a": 1}))
    message = refused(4, "predict", "x.pt", "in")
    assert "a pickle of Python objects, which can run code when it is loaded" in message
    message = refused(4, "predict", "in/0.png", "m.safetensors")
    assert "'in/0.png': a PNG picture; the model comes first" in message
    assert "no model.safetensors in this folder" in refused(4, "predict", "in", "in/0.png")
    assert "is a built-in network without weights" in refused(2, "predict", "lenet5", "in")
    assert "'n.safetensors': no such file" in refused(1, "predict", "n.safetensors", "in")
    data = bytearray((here / "m.safetensors").read_bytes())
    data[len(data) // 2] ^= 4
    (here / "m.safetensors").write_bytes(data)
    assert "damaged: its SHA-256" in refused(4, "predict", "m.safetensors", "in")


def test_numbers_that_are_not_finite(here):
    spec = "flatten | dense 3"
    weights = {
        "1.dense.weight": np.full((3, 120), 3e38, np.float32),
        "1.dense.bias": np.zeros(3, np.float32),
    }
    how = Preprocessing(color="gray", mean=(0.0,), std=(1.0,))
    save_model(
        "x.safetensors",
        SavedModel(spec=spec, input=(1, *SIZE), tensors=weights, preprocessing=how),
    )
    Image.new("L", SIZE[::-1], 255).save("white.png")
    with np.errstate(all="ignore"):
        result = invoke("predict", "x.safetensors", "white.png")
    assert result.status == 4
    assert "the network gives numbers that are not finite" in result.stderr


def test_verbose_tells_of_the_model(here):
    write_pictures(here / "in", 1)
    words = done("predict", "m.safetensors", "in/0.png", "-v").errors[0]
    assert words == (
        "cnntool: model: bars, 3 classes, pictures 1×12×10, device cpu, 32 pictures at a time, "
        "1 worker"
    )


def test_on_a_gpu(here, double_as_gpu):
    write_pictures(here / "in", 5)
    expected = rows(done("predict", "m.safetensors", "in"))
    found = rows(done("predict", "m.safetensors", "in", "--device", "gpu"))
    for (path, label, score), row in zip(expected, found, strict=True):
        assert row == (path, label, pytest.approx(score, abs=2e-4))


# --- processes


def many(folder, count):
    """A folder of many names for a few pictures."""
    paths, _ = write_pictures(folder / "few", 20)
    (folder / "many").mkdir()
    for n in range(count):
        os.link(paths[n % 20], folder / "many" / f"{n}.png")


MEASURED = """
import json, sys
from cnntool.cli.main import _run

def high():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

before = []
sys.stdout = open("rows.tsv", "w")
for names in ("first", "second"):
    status = _run(["predict", "m.safetensors", "--files-from", names, "-q", "--threads", "2"])
    before.append(high())
json.dump([status, before], sys.__stdout__)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_memory_is_flat(here):
    """The peak of 2000 predictions is that of the first 200 in the same process."""
    many(here, 2000)
    names = [f"many/{n}.png" for n in range(2000)]
    (here / "first").write_text("\n".join(names[:200]))
    (here / "second").write_text("\n".join(names))
    found = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=60
    )
    status, (first, second) = json.loads(found.stdout)
    assert status == 0
    assert second - first < 3 * 1024, (first, second)
    assert len((here / "rows.tsv").read_text().splitlines()) == 2202


def test_head_is_silent(here):
    many(here, 600)
    command = f"'{sys.executable}' -m cnntool predict m.safetensors many | head -1"
    found = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"], capture_output=True, timeout=60
    )
    assert found.stdout == b"path\tlabel\tscore\n141\n"
    assert found.stderr == b""


def test_interrupted(here):
    """All that was told done has its row, and the process dies by the signal, soon."""
    many(here, 3000)
    with contextlib.ExitStack() as stack:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # children would inherit it
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        child = subprocess.Popen(
            [sys.executable, "-m", "cnntool", "predict", "m.safetensors", "many", "-j", "2",
             "--threads", "2", "--report", "r.jsonl"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, bufsize=0,
        )  # fmt: skip
    lines = [child.stdout.readline() for _ in range(100)]
    os.killpg(child.pid, signal.SIGINT)
    rest, errors = child.communicate(timeout=20)
    assert child.returncode == -signal.SIGINT
    lines += rest.splitlines()
    told = re.fullmatch(rb"cnntool: (\d+) done, 0 failed, 0 skipped\n", errors)
    assert told, errors
    # the signal may have come just before a row was written
    assert 1 + int(told[1]) - len(lines) in (0, 1)
    assert len(set(lines)) == len(lines) < 3001
    assert len((here / "r.jsonl").read_text().splitlines()) == int(told[1])


def test_full_disk(here):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    write_pictures(here / "in", 3)
    with open("/dev/full", "wb") as full:
        found = subprocess.run(
            [sys.executable, "-m", "cnntool", "predict", "m.safetensors", "in"],
            stdout=full, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    assert found.returncode == 3
    assert b"the table: cannot be written: No space left on device" in found.stderr


def test_start_loads_little(here):
    """Help needs no NumPy."""
    code = (
        "import sys\nfrom cnntool.cli.main import _run\n"
        "_run(['predict', '--help']); _run(['evaluate', '--help'])\n"
        "print({'numpy', 'PIL', 'scipy'} & set(sys.modules), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert found.stderr == b"set()\n"
    assert process("predict", "--help").lines[0].startswith("Usage: cnntool predict")
