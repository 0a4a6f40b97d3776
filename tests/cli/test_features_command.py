"""``cnntool hog``: rows of numbers, and all the forms of a table that ``flatten`` has too."""

import csv
import io
import json
import os
import zipfile

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from feature_rows import numbers, picture, rows
from PIL import Image
from skimage.feature import hog as skimage_hog


@pytest.fixture
def colour(tmp_path, rng):
    """(path, pixels) of a colour picture whose sides are no multiples of anything."""
    return picture(tmp_path / "colour.png", rng, (45, 38, 3))


@pytest.fixture
def grey(tmp_path, rng):
    return picture(tmp_path / "grey.png", rng, (45, 38))


# --- hog: the numbers


@pytest.mark.parametrize("norm, expected", [
    ("l1", "L1"), ("l1-sqrt", "L1-sqrt"), ("l2", "L2"), ("l2-hys", "L2-Hys"),
])  # fmt: skip
def test_hog_is_scikit_images(grey, colour, norm, expected):
    for path, pixels in (grey, colour):
        for cell, block in (((8, 8), (3, 3)), ((5, 7), (2, 3)), ((6, 6), (1, 2))):
            oracle = skimage_hog(
                pixels, 9, cell, block, expected, channel_axis=2 if pixels.ndim == 3 else None
            )
            found = numbers(
                "hog", path, "--cell", f"{cell[0]},{cell[1]}", "--block", f"{block[0]},{block[1]}",
                "--norm", norm,
            )  # fmt: skip
            np.testing.assert_allclose(found, oracle, atol=1e-6)


def test_hog_defaults_and_options(grey):
    path, pixels = grey
    np.testing.assert_allclose(numbers("hog", path), skimage_hog(pixels), atol=1e-6)
    np.testing.assert_allclose(
        numbers("hog", path, "--orientations", 7, "--sqrt"),
        skimage_hog(pixels, 7, transform_sqrt=True),
        atol=1e-6,
    )


def test_hog_gray_and_size(colour):
    path, pixels = colour
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(
        numbers("hog", path, "--gray"), skimage_hog(np.rint(luma).astype(np.uint8)), atol=0.02
    )
    size = done("hog", path, "--size", "64x32", "--gray", "--json")
    assert len(json.loads(size.stdout)[0]["features"]) == 6 * 2 * 81


def test_hog_of_samples(samples):
    """A photo, as its file is."""
    path = samples / "camera.png"
    found = numbers("hog", path, "--cell", 16)
    np.testing.assert_allclose(
        found, skimage_hog(np.asarray(Image.open(path)), pixels_per_cell=(16, 16)), atol=1e-6
    )


def test_signed_directions_have_as_many_bins(grey):
    """Rising and falling gradients fall into other bins; the row is no longer."""
    path, _ = grey
    plain, signed = numbers("hog", path), numbers("hog", path, "--signed")
    assert plain.shape == signed.shape == (3 * 2 * 81,)
    assert not np.allclose(plain, signed)


@pytest.fixture
def ramps(tmp_path):
    """Brightness rises to the right, and the same mirrored."""
    ramp = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1))
    Image.fromarray(ramp).save(tmp_path / "rises.png")
    Image.fromarray(ramp[:, ::-1].copy()).save(tmp_path / "falls.png")
    return tmp_path / "rises.png", tmp_path / "falls.png"


def test_signed_tells_rising_from_falling(ramps):
    for option, same in (((), True), (("--signed",), False)):
        (_, rises), (_, falls) = rows(done("hog", *ramps, "--orientations", 8, *option))
        assert np.array_equal(rises, falls) is same


def test_opacity_is_left_out(tmp_path, colour):
    path, pixels = colour
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(tmp_path / "rgba.png")
    for command in ("hog", "flatten"):
        assert np.array_equal(numbers(command, tmp_path / "rgba.png"), numbers(command, path))


# --- forms of the table


def test_forms_agree(grey, ramps):
    paths = [str(path) for path in (grey[0], *ramps)]
    args = ("hog", *paths, "--size", "24x24", "--cell", 12, "--block", 1)
    oracle = rows(done(*args))
    assert [path for path, _ in oracle] == paths
    assert done(*args, "--as", "tsv").stdout == done(*args).stdout

    table = list(csv.reader(io.StringIO(done(*args, "--csv").text)))
    assert table[0] == ["path", *(f"f{i}" for i in range(36))]
    found = [(row[0], np.array(row[1:], float)) for row in table[1:]]
    objects = json.loads(done(*args, "--json").stdout)
    lines = [json.loads(line) for line in done(*args, "--as", "jsonl").lines]
    assert objects == lines
    assert all(list(entry) == ["path", "features"] for entry in objects)
    others = [(entry["path"], np.array(entry["features"])) for entry in objects]
    text = [line.split() for line in done(*args, "--as", "table").lines]
    shown = [(row[0], np.array(row[1:], float)) for row in text[1:]]
    for form in (found, others, shown):
        for (path, values), (right, expected) in zip(form, oracle, strict=True):
            assert path == right
            assert np.array_equal(values, expected)


def test_numbers_have_the_digits_of_their_precision(tmp_path):
    """0.1 as float32 is 0.1, not 0.10000000149011612; 8-bit samples are whole."""
    np.save(tmp_path / "a.npy", np.array([[0.1, -2.5], [1e-7, 3]], np.float32))
    row = done("flatten", tmp_path / "a.npy", "--csv").lines[1]
    assert row.split(",")[1:] == ["0.1", "-2.5", "1e-07", "3.0"]
    Image.fromarray(np.array([[7, 255]], np.uint8)).save(tmp_path / "b.png")
    assert done("flatten", tmp_path / "b.png").lines[1].split("\t")[1:] == ["7", "255"]


def test_nan_is_null_in_json(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[np.nan, 1], [np.inf, -np.inf]]))
    found = done("flatten", tmp_path / "a.npy", "--json")
    assert json.loads(found.stdout)[0]["features"] == [None, 1.0, None, None]
    assert done("flatten", tmp_path / "a.npy", "--csv").lines[1].split(",")[1:] == [
        "nan", "1.0", "inf", "-inf",
    ]  # fmt: skip


def test_long_rows_come_in_pieces(tmp_path, rng):
    path, pixels = picture(tmp_path / "a.png", rng, (200, 173))
    found = rows(done("flatten", path))
    assert np.array_equal(found[0][1], pixels.ravel())
    assert json.loads(done("flatten", path, "--json").stdout)[0]["features"] == [
        int(value) for value in pixels.ravel()
    ]


def test_strange_names_in_all_forms(tmp_path, grey):
    strange = tmp_path / 'new\nline,tab\t"quote"\x1b[31m.png'
    strange.write_bytes(grey[0].read_bytes())
    bytes_only = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(bytes_only, "wb") as file:
        file.write(grey[0].read_bytes())
    names = [str(strange), os.fsdecode(bytes_only)]
    args = ("hog", *names, "--cell", 15, "--block", 1, "--orientations", 1)
    tsv = done(*args)
    assert len(tsv.lines) == 3
    assert b"\x1b" not in tsv.stdout
    assert tsv.lines[2].split("\t")[0] == names[1]
    assert [row[0] for row in csv.reader(io.StringIO(done(*args, "--csv").text, newline=""))][
        1:
    ] == names
    for form in ("json", "jsonl"):
        found = done(*args, "--as", form)
        assert found.stdout.isascii() or found.stdout.decode("utf-8")
        objects = json.loads(found.stdout) if form == "json" else map(json.loads, found.lines)
        assert [entry["path"] for entry in objects] == names


def test_standard_input_is_a_row(grey):
    path, _ = grey
    found = done("hog", "-", "--json", stdin=path.read_bytes())
    (entry,) = json.loads(found.stdout)
    assert entry["path"] == "-"
    assert entry["features"] == json.loads(done("hog", path, "--json").stdout)[0]["features"]


# --- files


def test_npy_has_two_axes_even_for_one(tmp_path, grey):
    for command in ("hog", "flatten"):
        out = tmp_path / f"{command}.npy"
        assert done(command, grey[0], "-o", out).lines == [str(out)]
        found = np.load(out)
        assert found.dtype == (np.float32 if command == "hog" else np.uint8)
        assert np.array_equal(found, [numbers(command, grey[0]).astype(found.dtype)])


def test_npz_holds_features_and_paths(tmp_path, grey, ramps):
    out = tmp_path / "x.npz"
    args = ("hog", *ramps, grey[0], "--size", "32x24")
    done(*args, "-o", out)
    with np.load(out) as found:
        assert sorted(found) == ["features", "paths"]
        assert found["paths"].tolist() == [str(path) for path in (*ramps, grey[0])]
        assert found["features"].shape == (3, 2 * 1 * 81)
        printed = np.array([row for _, row in rows(done(*args))], np.float32)
        assert np.array_equal(found["features"], printed)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
    before = out.read_bytes()
    done(*args, "-o", out, "-f")
    assert out.read_bytes() == before


def test_names_survive_in_npz(tmp_path, grey):
    name = os.fsencode(tmp_path) + b"/caf\xe9\n.png"
    with open(name, "wb") as file:
        file.write(grey[0].read_bytes())
    done("flatten", os.fsdecode(name), "-o", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as found:
        assert os.fsencode(str(found["paths"][0])) == name


def test_arrays_of_mixed_samples(tmp_path, rng):
    """8 and 16 bits and floats in one file: the type that holds all of them."""
    stored = [rng.integers(0, 255, (2, 3)).astype(kind) for kind in ("u1", "u2", "f4")]
    for index, array in enumerate(stored):
        np.save(tmp_path / f"{index}.npy", array)
    names = [tmp_path / f"{index}.npy" for index in range(3)]
    done("flatten", *names, "-o", tmp_path / "x.npy")
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == np.float32
    assert np.array_equal(found, [array.ravel() for array in stored])


def test_suffix_chooses_the_form(tmp_path, ramps):
    for suffix, begins in (
        (".csv", b"path,f0"), (".tsv", b"path\tf0"), (".json", b"[\n{"), (".jsonl", b'{"path"'),
        (".txt", b"path "), ("", b"path\tf0"),
    ):  # fmt: skip
        out = tmp_path / f"x{suffix}"
        assert done("hog", *ramps, "-o", out).lines == [str(out)]
        assert out.read_bytes().startswith(begins)
    done("hog", *ramps, "-o", tmp_path / "x.data", "--json")
    assert len(json.loads((tmp_path / "x.data").read_text())) == 2
    done("hog", *ramps, "-o", tmp_path / "y.csv", "--as", "jsonl")
    assert (tmp_path / "y.csv").read_text().startswith("{")
    # a default from elsewhere is no reason to write JSON into .csv
    done("hog", *ramps, "-o", tmp_path / "z.csv", env={"CNNTOOL_HOG_AS": "json"})
    assert (tmp_path / "z.csv").read_bytes() == (tmp_path / "x.csv").read_bytes()


def test_refused_files(tmp_path, grey):
    path, _ = grey
    (tmp_path / "old.csv").write_text("old")
    message = refused(2, "hog", path, "-o", tmp_path / "old.csv")
    assert message.endswith("old.csv' exists; -f (--force) overwrites it")
    assert (tmp_path / "old.csv").read_text() == "old"
    assert done("hog", path, "-o", tmp_path / "old.csv", "-f").status == 0
    message = refused(2, "hog", path, "-o", tmp_path / "x.foo")
    assert "no table has this suffix; use .npy, .npz, .csv, .tsv, .json" in message
    message = refused(2, "hog", path, "-o", tmp_path / "x.npy", "--json")
    assert "--json is for tables; leave it out to write" in message
    message = refused(2, "hog", path, "-o", path, "-f", "--csv")
    assert "is an input and is never overwritten" in message
    message = refused(3, "hog", path, "-o", tmp_path / "none" / "x.npy")
    assert "No such file or directory; make its folder first" in message
    assert refused(2, "hog", path, "--json", "--csv").startswith(
        "cnntool: --json and --csv exclude each other"
    )
    assert sorted(os.listdir(tmp_path)) == ["grey.png", "old.csv"]


# --- lengths


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("form", ["tsv", "json", "npz"])
def test_other_lengths_fail_and_the_rest_goes_on(tmp_path, rng, jobs, form):
    """The first readable picture decides, also if the very first is damaged."""
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    for name, shape in (("1", (30, 24)), ("2", (30, 24)), ("3", (40, 40)), ("4", (31, 25))):
        picture(tmp_path / f"{name}.png", rng, shape)
    paths = [str(tmp_path / f"{i}.png") for i in range(5)]
    out = ("-o", tmp_path / "x.npz") if form == "npz" else ("--as", form)
    result = invoke("hog", *paths, *out, "-j", jobs)
    assert result.status == 1
    if form == "npz":
        with np.load(tmp_path / "x.npz") as arrays:
            found = arrays["paths"].tolist()
    elif form == "json":
        found = [entry["path"] for entry in json.loads(result.stdout)]
    else:
        found = [path for path, _ in rows(result)]
    assert found == [paths[1], paths[2], paths[4]]
    bad, other, count = result.errors
    assert bad.startswith(f"cnntool: '{paths[0]}': ")
    assert other == (
        f"cnntool: '{paths[3]}': gives 729 numbers, the first picture 81; "
        "bring all pictures to one size and colour with --size HxW and --gray"
    )
    assert count == "cnntool: 3 done, 2 failed, 0 skipped"


def test_all_fail(tmp_path):
    (tmp_path / "0.png").write_bytes(b"no picture")
    for args in (("--json",), ("-o", tmp_path / "x.json"), ("-o", tmp_path / "x.npy")):
        result = invoke("flatten", tmp_path / "0.png", *args)
        assert result.status == 1
        assert len(result.errors) == 1
        if args == ("--json",):
            assert json.loads(result.stdout) == []
    assert json.loads((tmp_path / "x.json").read_text()) == []
    assert not (tmp_path / "x.npy").exists()


def test_stop_at_the_first_failure(tmp_path, rng):
    for name, shape in (("1", (30, 24)), ("2", (40, 40)), ("3", (30, 24))):
        picture(tmp_path / f"{name}.png", rng, shape)
    result = invoke("hog", tmp_path, "--json", "--on-error", "stop", "-j", 1)
    assert result.status == 1
    assert len(json.loads(result.stdout)) in (1, 2)  # what had begun is finished
    assert result.errors[-1].endswith("1 failed, 0 skipped")


def test_too_small(tmp_path, rng):
    path, _ = picture(tmp_path / "a.png", rng, (23, 70))
    message = refused(1, "hog", path)
    assert message.endswith(
        "hog needs at least 24 rows and 24 columns for 3x3 blocks of 8x8 cells; "
        "the image has 23 x 70"
    )
    message = refused(2, "hog", path, "--size", "70x23")
    assert "--size 70x23: hog needs at least 24 rows and 24 columns" in message


def test_dry_run_prints_the_length(tmp_path, rng):
    path, _ = picture(tmp_path / "a.png", rng, (45, 38))
    assert done("hog", path, "--dry-run").text == f"{3 * 2 * 81}\n"
    assert done("hog", "--dry-run", "--size", "128x64", "--block", 2).text == "3780\n"
    assert done("hog", "-", "--dry-run", stdin=path.read_bytes()).text == "486\n"
    assert done("hog", tmp_path, "--dry-run", "--cell", "45,38", "--block", 1).text == "9\n"
    assert os.listdir(tmp_path) == ["a.png"]
    assert refused(1, "hog", "--dry-run", tmp_path / "none.png").endswith("none.png': no such file")
    (tmp_path / "empty").mkdir()
    assert refused(1, "hog", "--dry-run", tmp_path / "empty").endswith("in this folder")
    assert "no input" in refused(2, "hog", "--dry-run")


def test_option_errors(grey):
    path, _ = grey
    assert "is not in the range 1<=x<=360" in refused(2, "hog", path, "--orientations", 361)
    assert "is not a size; write HxW" in refused(2, "hog", path, "--size", "12by3")
    assert "0 is below 1" in refused(2, "hog", path, "--cell", 0)
    assert "'l3' is not one of" in refused(2, "hog", path, "--norm", "l3")
    assert "has 3 numbers, not 1 or 2" in refused(2, "hog", path, "--block", "1,2,3")


def test_size_has_limits(grey):
    path, _ = grey
    message = refused(1, "flatten", path, "--size", "70000x10")
    assert "10 x 70000 pixels: a side is longer than 65500; --limits off" in message
    message = refused(1, "flatten", path, "--size", "60000x60000", "--limits", "strict")
    assert "--size 60000x60000: these pixels need" in message
    assert "the budget is 1.0 GiB" in message
