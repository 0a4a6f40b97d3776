"""The scripts of samples/ do what they say, from any folder."""

import csv
import pathlib

import pytest
import shell
from PIL import Image

SAMPLES = shell.ROOT / "samples"
SCRIPTS = sorted(path.name for path in SAMPLES.glob("*.sh"))


@pytest.fixture
def run(tmp_path):
    """Runs a script in an empty folder; the result with status and output."""
    variables = shell.environment(tmp_path / "programs")
    place = tmp_path / "place"
    place.mkdir()

    def script(name: str, *arguments: str):
        words = [f"sh '{SAMPLES / name}'", *(f"'{argument}'" for argument in arguments)]
        return shell.run(" ".join(words), place, variables), place

    return script


def photos(suffix: str = "*.jpg") -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob(suffix))


def test_edges_of_a_folder(run):
    done, place = run("edges_of_a_folder.sh", "out put")
    assert done.returncode == 0, done.stdout
    made = sorted((place / "out put").iterdir())
    pictures = [p for p in SAMPLES.iterdir() if p.suffix in (".jpg", ".png")]
    assert [p.name for p in made] == sorted(f"{p.stem}.edges{p.suffix}" for p in pictures)
    times = [p.stat().st_mtime_ns for p in made]
    (place / "out put" / "coffee.edges.jpg").unlink()
    again, _ = run("edges_of_a_folder.sh", "out put")
    assert again.stdout == "out put/coffee.edges.jpg\n"
    assert sum(p.stat().st_mtime_ns not in times for p in made) == 1


def test_edges_of_another_folder(run):
    done, place = run("edges_of_a_folder.sh", "out", str(SAMPLES / "pictures"))
    assert done.returncode == 0, done.stdout
    assert (place / "out" / "coffee.edges.jpg").exists()


def test_hog_to_csv(run):
    done, place = run("hog_to_csv.sh", "out")
    assert (done.returncode, done.stdout) == (0, "out/features.csv\n")
    with (place / "out" / "features.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert len(head) == 1 + 3780
    assert [pathlib.Path(row[0]).stem for row in rows] == photos()
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[1:])


def test_three_in_a_pipe(run):
    done, place = run("three_in_a_pipe.sh", "out")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[0] == "out/outlines.png"
    with Image.open(place / "out" / "outlines.png") as image:
        assert (image.mode, image.size) == ("L", (300, 200))
        assert image.getextrema()[1] > 200


def test_laplacian_and_back(run):
    done, place = run("laplacian_and_back.sh", "out")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "the same picture"
    out = place / "out"
    assert len(list((out / "levels").iterdir())) == 5
    assert (out / "photo.png").read_bytes() == (out / "back.png").read_bytes()
    with Image.open(out / "back.png") as back, Image.open(SAMPLES / "chelsea.jpg") as photo:
        assert back.tobytes() == photo.tobytes()


def test_make_pictures(run):
    done, place = run("make_pictures.sh", "out")
    assert done.returncode == 0, done.stdout
    made, kept = ({p.name: p for p in d.iterdir()} for d in (place / "out", SAMPLES / "pictures"))
    assert made.keys() == kept.keys()
    for name in made:
        with Image.open(made[name]) as new, Image.open(kept[name]) as old:
            assert (new.mode, new.size) == (old.mode, old.size), name


def test_make_explanations(run, tmp_path):
    """With a network that has learned for a second: its pictures are worse, and as large."""
    variables = shell.environment(tmp_path / "programs")
    quick = "cnntool train mnist --limit 1000 --epochs 1 -q -o small"
    assert shell.run(quick, tmp_path, variables).returncode == 0
    done, place = run("make_explanations.sh", "out", str(tmp_path / "small"))
    assert done.returncode == 0, done.stdout
    kept = {p.name: p for p in (SAMPLES / "explain").iterdir() if p.name != "seven.png"}
    made = {p.name: p for p in (place / "out").iterdir()}
    assert made.keys() == kept.keys()
    readme = (SAMPLES.parent / "README.md").read_text("utf-8")
    for name, path in made.items():
        assert f"(samples/explain/{name})" in readme and kept[name].stat().st_size < 60_000
        with Image.open(path) as new, Image.open(kept[name]) as old:
            assert (new.mode, new.size) == (old.mode, old.size), name


def assert_same_kind(made, folder, largest):
    """Pictures of a script are those that are kept, all of which README shows."""
    readme = (SAMPLES.parent / "README.md").read_text("utf-8")
    kept = {path.name: path for path in (SAMPLES / folder).iterdir()}
    assert {path.name for path in made} == kept.keys()
    for path in made:
        assert f"(samples/{folder}/{path.name})" in readme
        assert kept[path.name].stat().st_size < largest
        with Image.open(path) as new, Image.open(kept[path.name]) as old:
            assert (new.mode, new.size) == (old.mode, old.size), path.name


def test_make_generated(run, tmp_path):
    """With generators that have learned nothing yet: their pictures are noise, and as large."""
    variables = shell.environment(tmp_path / "programs")
    out = tmp_path / "place" / "out"
    quick = "--limit 200 --epochs 2 -q"
    for options, name in (
        ("--model conditional", "conditional"),
        ("--condition superres", "superres"),
        ("--condition inpaint", "inpaint"),
    ):
        words = f"cnntool train mnist {options} {quick} -o '{out / name}'"
        assert shell.run(words, tmp_path, variables).returncode == 0
    done, _ = run("make_generated.sh", "out")
    assert done.returncode == 0, done.stdout
    assert_same_kind([path for path in out.iterdir() if path.is_file()], "generated", 1_000_000)


def test_make_masks(run, tmp_path):
    """With a network that has learned for a moment."""
    variables = shell.environment(tmp_path / "programs")
    out = tmp_path / "place" / "out"
    for words in (
        f"cnntool datasets make shapes '{out / 'shapes'}' --count 60 -q",
        f"cnntool train '{out / 'shapes'}' --model 'conv 4 1' --epochs 1 -q -o '{out / 'unet'}'",
    ):
        assert shell.run(words, tmp_path, variables).returncode == 0
    done, _ = run("make_masks.sh", "out")
    assert done.returncode == 0, done.stdout
    assert_same_kind([path for path in out.iterdir() if path.is_file()], "segmentation", 200_000)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "make_pictures.sh"])
def test_asks_for_a_folder(run, name):
    done, place = run(name)
    assert done.returncode != 0
    assert "give a folder for the results" in done.stdout
    assert not list(place.iterdir())


@pytest.mark.parametrize("name", SCRIPTS)
def test_is_documented_strict_and_executable(name):
    path = SAMPLES / name
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "#!/bin/sh" and "set -eu" in lines
    assert path.stat().st_mode & 0o111
    assert f"`{name}`" in (SAMPLES / "README.md").read_text("utf-8")
