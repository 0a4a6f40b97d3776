"""What picture jobs have in common: plain values, targets, ranges, whole files."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from pillow_files import array, load, save

from cnntool.cli.running import WRITABLE_SUFFIXES
from cnntool.errors import InputError, OptionError
from cnntool.filters.convolve import Convolution
from cnntool.filters.kernel_text import parse_kernel
from cnntool.folder.job import Item
from cnntool.folder.outputs import OutputPlan
from cnntool.images.picture import Picture
from cnntool.jobs.channels import MergeJob, SplitJob, check_count, check_names, has_opacity
from cnntool.jobs.convolve import ConvolveJob
from cnntool.jobs.edges import EdgesJob
from cnntool.jobs.picture import PictureJob, Target, grey, part
from cnntool.jobs.pool import PoolJob, UnpoolJob
from cnntool.jobs.pyramid import CollapseJob, PyramidJob


def plan(kind="folder", target="out", **options):
    return OutputPlan(kind, str(target), writable=WRITABLE_SUFFIXES, **options)


def jobs(folder):
    kernels = parse_kernel("sobel-x"), parse_kernel("1 2; 3 4")
    where = plan(target=folder)
    return [
        ConvolveJob(plan=where, kernels=kernels, words=("sobel-x", "custom"),
                    options=Convolution(padding=(1, 2), stride=2)),
        EdgesJob(plan=where, show="x"),
        PoolJob(plan=where, kind="avg", size=(3, 2)),
        PyramidJob(plan=where, count=2, gray=True),
        SplitJob(plan=where, space="hsv"),
    ]  # fmt: skip


@pytest.fixture
def photo(tmp_path, rng):
    pixels = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return save(tmp_path / "a.png", pixels)


# --- plain values ---


@pytest.mark.parametrize("number", range(5))
def test_a_job_is_frozen_and_survives_pickling(tmp_path, photo, number):
    job = jobs(tmp_path)[number]
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.quality = 1
    copy = pickle.loads(pickle.dumps(job))
    assert copy == job
    wanted = job(Item(photo))
    bytes_of = [Path(path).read_bytes() for path in wanted.paths]
    again = dataclasses.replace(copy, plan=plan(target=tmp_path, force=True))(Item(photo))
    assert again == wanted
    assert [Path(path).read_bytes() for path in again.paths] == bytes_of


@pytest.mark.parametrize("number", range(5))
def test_outputs_are_known_before_reading(tmp_path, photo, number):
    job = jobs(tmp_path)[number]
    item = Item(photo)
    names = job.outputs(item)
    assert names and names == job(item).paths
    assert dataclasses.replace(job, write=False).outputs(item) == ()


def test_base_class_makes_nothing(photo):
    job = PictureJob(plan=plan())
    with pytest.raises(NotImplementedError, match="PictureJob names no results"):
        job.outputs(Item(photo))
    with pytest.raises(NotImplementedError, match="PictureJob makes no results"):
        next(iter(job.results(Picture(np.zeros((2, 2), np.uint8)), Target("png", np.uint8), [])))


# --- targets ---


@pytest.mark.parametrize(
    "name, dtype, options, wanted",
    [
        ("a.png", np.uint8, {}, ("png", np.uint8)),
        ("a.jpg", np.uint16, {}, ("jpeg", np.uint8)),
        ("a.png", np.uint16, {}, ("png", np.uint16)),
        ("a.png", np.uint16, {"depth": 8}, ("png", np.uint8)),
        ("a.png", np.float32, {}, ("png", np.uint8)),
        ("a.tif", np.float32, {"depth": 16}, ("tiff", np.uint16)),
        ("a.tif", np.uint8, {"range": "raw"}, ("tiff", None)),
        ("a.npy", np.uint8, {}, ("npy", None)),
        ("a.npy", np.uint8, {"depth": 16}, ("npy", np.uint16)),
        ("a.pfm", np.uint8, {}, ("pfm", None)),
        ("a.xyz", np.uint8, {}, ("png", np.uint8)),
        ("a.png", np.uint8, {"format": "webp"}, ("webp", np.uint8)),
    ],
)
def test_target(name, dtype, options, wanted):
    job = EdgesJob(plan=plan("beside", ""), **options)
    found = job.target(Item(name), Picture(np.zeros((2, 3), dtype)), [])
    assert (found.format, found.dtype) == wanted


def test_target_of_standard_output():
    job = EdgesJob(plan=plan("stdout", ""))
    pixels = np.zeros((2, 3), np.uint8)
    assert job.target(Item("-"), Picture(pixels), []).format == "png"
    assert job.target(Item("-"), Picture(pixels, format="jpeg"), []).format == "png"
    assert job.target(Item("-"), Picture(pixels, format="npy"), []).format == "npy"


def test_lost_bits_are_noted():
    notes = []
    job = EdgesJob(plan=plan("beside", ""))
    job.target(Item("a.jpg"), Picture(np.zeros((2, 3), np.uint16)), notes)
    assert notes == ["JPEG holds 8 bits; 16-bit samples were scaled down"]


def test_impossible_depths():
    pixels = Picture(np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(OptionError, match=r"WebP holds 8 bits; use png, tiff, pnm or npy for 16"):
        EdgesJob(plan=plan("beside", ""), depth=16).target(Item("a.webp"), pixels, [])
    with pytest.raises(OptionError, match=r"PFM holds floats; leave out --depth, or write npy"):
        EdgesJob(plan=plan("beside", ""), depth=8).target(Item("a.pfm"), pixels, [])


@pytest.mark.parametrize(
    "dtype, depth, wanted",
    [
        (np.uint8, 16, 255),
        (np.uint16, 0, 65535),
        (np.uint16, 8, 65535),
        (np.float32, 0, 255),
        (np.float64, 16, 65535),
        (np.float32, 8, 255),
    ],
)
def test_full_range(dtype, depth, wanted):
    job = EdgesJob(plan=plan(), depth=depth)
    assert job.full_range(Picture(np.zeros((2, 2), dtype))) == wanted


# --- ranges ---


def test_ranged_leaves_what_fits():
    job = PoolJob(plan=plan())
    picture = Picture(np.zeros((2, 2), np.uint8))
    assert job.ranged(picture, Target("png", np.dtype(np.uint8)), 255, []) is picture
    floats = Picture(np.zeros((2, 2), np.float32))
    assert job.ranged(floats, Target("npy", None), 255, []) is floats


def test_ranged_notes_once_and_rounds_opacity_only():
    notes = []
    job = PoolJob(plan=plan(), range="abs")
    pixels = np.array([[[-3.0, 254.6], [400.0, -1.0]]], np.float32)
    found = job.ranged(
        Picture(pixels, alpha=True), Target("png", np.dtype(np.uint8)), 255, notes, title="l0"
    )
    assert found.pixels.tolist() == [[[3, 255], [255, 0]]]
    assert notes == ["l0: 50 % of values were above 255 and clipped (--range)"]
    floats = job.ranged(Picture(pixels, alpha=True), Target("npy", None), 255, notes)
    np.testing.assert_allclose(floats.pixels, [[[3, 254.6], [255, -1]]], rtol=1e-6)


# --- grey, parts ---


def test_grey(rng):
    pixels = rng.integers(0, 256, (3, 4, 4), dtype=np.uint8)
    luma = np.rint(pixels[..., :3] @ [0.299, 0.587, 0.114])
    found = grey(Picture(pixels, alpha=True))
    assert found.alpha and found.pixels.dtype == np.uint8
    assert np.abs(found.pixels[..., 0] - luma).max() <= 1
    np.testing.assert_array_equal(found.pixels[..., 1], pixels[..., 3])
    already = Picture(pixels[..., :2], alpha=True)
    assert grey(already) is already


def test_errors_about_parts_name_them(tmp_path):
    with pytest.raises(InputError, match=r"^'.*gone\.png': no such file$"):
        part(str(tmp_path / "gone.png"), limits="normal")


# --- what is handed over ---


def test_payload_comes_alone(tmp_path, photo):
    job = PoolJob(plan=plan("stdout", ""), indices=str(tmp_path / "i.npz"))
    done = job(Item(photo))
    assert done.paths == () and load(done.payload).shape == (4, 6, 3)
    assert (tmp_path / "i.npz").is_file()
    back = UnpoolJob(plan=plan("stdout", ""), indices=str(tmp_path / "i.npz"), format="npy")
    (tmp_path / "p.png").write_bytes(done.payload)
    assert array(back(Item(str(tmp_path / "p.png"))).payload).shape == (9, 12, 3)


def test_rows_and_files_from_one_reading(tmp_path, photo):
    job = ConvolveJob(
        plan=plan(target=tmp_path), kernels=(parse_kernel("identity"),), words=("same",),
        values=True, gray=True,
    )  # fmt: skip
    done = job(Item(photo))
    assert len(done.paths) == 1 and load(done.paths[0]).shape == (9, 12)
    assert done.rows[0] == {"text": "kernel identity (3x3)", "path": photo}
    assert job.outputs(Item(photo)) == done.paths
    only = dataclasses.replace(job, write=False)(Item(photo))
    assert only.paths == () and only.rows == done.rows


def test_notes_are_told_once(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((5, 6), np.uint16))
    done = EdgesJob(plan=plan(target=tmp_path, suffix=".jpg"))(Item(path))
    assert done.notes == ("JPEG holds 8 bits; 16-bit samples were scaled down",)


def test_several_inputs_into_one(tmp_path, rng):
    planes = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    paths = tuple(save(tmp_path / f"{name}.png", plane)
                  for name, plane in zip("RGB", planes, strict=True))  # fmt: skip
    merge = MergeJob(plan=plan("file", tmp_path / "m.png"), paths=paths)
    assert merge(Item(paths[0])).paths == (str(tmp_path / "m.png"),)
    np.testing.assert_array_equal(load(tmp_path / "m.png"), planes.transpose(1, 2, 0))
    collapse = CollapseJob(plan=plan("file", tmp_path / "c.png"), paths=paths[:1])
    assert collapse(Item(paths[0])).paths == (str(tmp_path / "c.png"),)
    np.testing.assert_array_equal(load(tmp_path / "c.png"), planes[0])


# --- names and numbers of channels ---


def test_names_of_channels():
    assert check_names("rgb", ["b", "A", "l"]) == ("B", "A", "L")
    assert check_names("lab", ["l", "A", "alpha"]) == ("L", "a", "alpha")
    with pytest.raises(OptionError, match="no channel 'Q' in hsv; use H, S, V, A"):
        check_names("hsv", ["H", "Q"])


@pytest.mark.parametrize(
    "space, counts, opacity",
    [("rgb", [1, 2, 3, 4], [2, 4]), ("lab", [3, 4], [4]), ("gray", [1, 2], [2])],
)
def test_numbers_of_channels(space, counts, opacity):
    for count in range(6):
        if count in counts:
            check_count(space, count)
            assert has_opacity(space, count) == (count in opacity)
        else:
            with pytest.raises(OptionError, match=f"{space} is merged from .* got {count}"):
                check_count(space, count)
