"""What holds for all changes: nothing from nothing, parts of batches, masks, devices, chances."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_augment import MODES, moved, scaled, turned

from cnntool.augment import Augmentation, format_steps, parse
from cnntool.augment.draws import DRAWS
from cnntool.augment.words import WORDS
from cnntool.errors import OptionError, ShapeError

SHAPE = (3, 9, 12, 7)
EACH = {word: entry.example for word, entry in WORDS.items()}
STILL = [
    "hflip p=0", "vflip p=0", "crop 1:1", "brightness 0", "contrast 0", "saturation 0", "hue 0",
    "blur 0", "noise 0", "cutout 0", "blur 9 p=0", "noise 99 p=0", "cutout 0.9 p=0",
    "hue 0.5 p=0", "contrast 1 p=0",
]  # fmt: skip
STILL_WITH_BORDERS = [
    "rotate 0", "shift 0", "shift 0px", "scale 0", "shear 0", "shear 0 down=0", "elastic 0",
    "elastic 0px 3px", "rotate 45 p=0", "elastic 0.2 p=0", "rotate 360:360",
    "rotate 0 | scale 0 | shear 0 | shift 0 | elastic 0 | crop 1:1",
    "scale 2:2 | scale 0.5:0.5",
]  # fmt: skip


def pictures(rng, shape=SHAPE):
    return rng.integers(0, 256, shape).astype(np.float32)


def done(text, x, seed=3, step=1, **options):
    return Augmentation.parse(text).apply(x, seed=seed, step=step, **options)


def test_tables_are_complete():
    assert set(DRAWS) == set(WORDS)


@pytest.mark.parametrize(
    "text",
    STILL + [f"shift 0 border={b} | {text}" for text in STILL_WITH_BORDERS for b in MODES],
)
def test_what_changes_nothing_changes_nothing(rng, text):
    x = pictures(rng)
    y = done(text, x)
    assert y.dtype == np.float32 and y is not x
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("text", EACH.values(), ids=EACH)
class TestEachWord:
    def test_changes_something(self, rng, text):
        x = pictures(rng)
        assert (done(text, x) != x).any()

    def test_is_repeated_exactly(self, rng, text):
        x = pictures(rng)
        np.testing.assert_array_equal(done(text, x), done(text, x))
        assert (done(text, x) != done(text, x, step=2)).any()
        assert (done(text, x) != done(text, x, seed=4)).any()

    def test_input_stays(self, rng, text):
        x = pictures(rng)
        before = x.copy()
        x.setflags(write=False)
        done(text, x)
        np.testing.assert_array_equal(x, before)

    def test_types_and_layouts(self, rng, text):
        x = pictures(rng)
        y = done(text, x)
        for same in (x.astype(np.uint8), x.astype(np.float64), np.asfortranarray(x)):
            z = done(text, same)
            assert z.dtype == np.float32
            np.testing.assert_array_equal(z, y)
        turned_round = np.ascontiguousarray(x[:, ::-1])[:, ::-1]
        np.testing.assert_array_equal(done(text, turned_round), y)

    def test_stays_in_range(self, rng, text):
        x = np.where(rng.random(SHAPE) < 0.5, 0, 255).astype(np.uint8)
        y = done(text, x)
        assert y.min() >= 0 and y.max() <= 255

    def test_split_batches(self, rng, text):
        x = pictures(rng)
        whole = done(text, x)
        for start, stop in ((0, 3), (3, 4), (4, 7)):
            part = done(text, x[..., start:stop], offset=start, total=7)
            np.testing.assert_array_equal(part, whole[..., start:stop])

    def test_devices(self, rng, text, xp):
        x = pictures(rng)
        device = xp.to_device(x)
        aug = Augmentation.parse(text)
        with xp.no_transfers():
            y = aug.apply(device, seed=3, step=1)
        np.testing.assert_allclose(xp.to_host(y), done(text, x), atol=0.02)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(device), x)

    def test_no_pictures(self, rng, text):
        assert done(text, pictures(rng)[..., :0]).shape == (3, 9, 12, 0)

    def test_opacity(self, rng, text):
        x = pictures(rng, (4, 9, 12, 3))
        x[3] = 255
        y = done(text, x, alpha=True)
        plain = done(text.replace("0.25", "0.25 fill=0"), x[:3])
        opaque = np.broadcast_to(y[3:] == 255, plain.shape)
        if "noise" not in text:
            np.testing.assert_allclose(y[:3][opaque], plain[opaque], atol=0.02)
        assert y[3:].max() <= 255


@st.composite
def texts(draw):
    words = draw(st.lists(st.sampled_from(list(EACH)), min_size=1, max_size=5))
    borders = draw(st.sampled_from(["", " border=reflect", " border=edge", " fill=9"]))
    steps = []
    for word in words:
        step = EACH[word]
        if "border" in {setting.name for setting in WORDS[word].settings}:
            step += borders
        if "p=" not in step and draw(st.booleans()):
            step += " p=0.6"
        steps.append(step)
    return " | ".join(steps)


@settings(max_examples=40)
@given(
    text=texts(), cut=st.integers(1, 6), seed=st.integers(-(1 << 70), 1 << 70), step=st.integers(0)
)
def test_any_changes_of_any_parts(text, cut, seed, step):
    x = np.arange(9 * 12 * 7, dtype=np.float32).reshape(1, 9, 12, 7) % 251
    aug = Augmentation.parse(text)
    whole = aug.apply(x, seed=seed, step=step)
    parts = [
        aug.apply(x[..., :cut], seed=seed, step=step, total=7),
        aug.apply(x[..., cut:], seed=seed, step=step, offset=cut, total=7),
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)
    assert np.isfinite(whole).all()


# ------------------------------------------------------------------------------------ what is drawn
@pytest.mark.parametrize(
    ("text", "name", "low", "high"),
    [
        ("rotate 15", "angle", -15, 15),
        ("rotate 10:20", "angle", 10, 20),
        ("scale 0.2", "factor", 0.8, 1.2),
        ("brightness 0.3", "factor", 0.7, 1.3),
        ("contrast 0.5:3", "factor", 0.5, 3),
        ("saturation 1", "factor", 0, 2),
        ("hue 0.1", "turn", -0.1, 0.1),
        ("shear 8", "across", -8, 8),
        ("blur 2", "sigma", 0, 2),
        ("noise 5:9", "sigma", 5, 9),
        ("shift 0.25", "down", -5, 5),
        ("shift 0.25", "across", -7.5, 7.5),
        ("cutout 0.1:0.5", "pixels", 2, 10),
        ("elastic 0.05:0.1", "pixels", 1, 2),
        ("crop 0.5", "height", 0.5, 1),
    ],
)
def test_amounts_are_uniform(text, name, low, high):
    rows = Augmentation.parse(text).drawn((20, 30), 4000, seed=1, step=0)
    values = np.array([row[0][name] for row in rows])
    assert values.min() >= low - 1e-5 and values.max() <= high + 1e-5
    share = (values - low) / (high - low)
    counts = np.histogram(share, 10, (0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 33  # chi-square, 9 degrees, p = 0.0001


def test_whole_pixels_are_as_likely_as_each_other():
    rows = Augmentation.parse("shift -1:2px 3:3px").drawn((20, 30), 4000, seed=1, step=0)
    found, counts = np.unique([row[0]["down"] for row in rows], return_counts=True)
    assert found.tolist() == [-1, 0, 1, 2]
    assert np.abs(counts - 1000).max() < 120
    assert {row[0]["across"] for row in rows} == {3.0}


def test_shapes_of_windows_are_as_likely_wide_as_high():
    rows = Augmentation.parse("crop 0.5:0.5 ratio=2").drawn((20, 30), 2000, seed=1, step=0)
    bend = np.log2([row[0]["width"] / row[0]["height"] for row in rows])
    assert bend.min() >= -1 - 1e-5 and bend.max() <= 1 + 1e-5
    assert abs(bend.mean()) < 0.05


@pytest.mark.parametrize("p", [0, 0.25, 0.5, 1])
def test_chance_of_a_word(p):
    rows = Augmentation.parse(f"hflip p={p} | rotate 9 p={p}").drawn((4, 5), 4000, seed=1, step=0)
    share = np.mean([[step["applied"] for step in row] for row in rows], axis=0)
    np.testing.assert_allclose(share, p, atol=0 if p in (0, 1) else 0.03)
    both = np.mean([row[0]["applied"] and row[1]["applied"] for row in rows])
    assert both == pytest.approx(p * p, abs=0.03)
    assert all("angle" in row[1] for row in rows if row[1]["applied"])
    assert all("angle" not in row[1] for row in rows if not row[1]["applied"])


def test_what_is_told_is_what_is_done(rng):
    x = pictures(rng)
    text = "rotate 40 p=0.5 | hflip | scale 0.3 p=0.5"
    y = done(text, x, offset=5)
    rows = Augmentation.parse(text).drawn((9, 12), 7, seed=3, step=1, offset=5)
    for n, (turn, flip, size) in enumerate(rows):
        forward = scaled(size.get("factor", 1)) @ scaled(1, -1 if flip["applied"] else 1)
        forward = forward @ turned(turn.get("angle", 0))
        np.testing.assert_allclose(y[0, :, :, n], moved(x[0, :, :, n], forward), atol=5e-3)


def test_a_word_more_leaves_the_others_alone():
    short = Augmentation.parse("rotate 20 | hflip").drawn((4, 5), 9, seed=1, step=0)
    long = Augmentation.parse("rotate 20 | hflip | noise 3").drawn((4, 5), 9, seed=1, step=0)
    assert [row[:2] for row in long] == short


# -------------------------------------------------------------------------------------------- masks
def labels(rng, shape=(1, 9, 12, 7), dtype=np.uint8):
    return rng.integers(0, 5, shape).astype(dtype)


def together(text, x, masks, **options):
    return Augmentation.parse(text).apply_with_masks(x, masks, seed=3, step=1, **options)


@pytest.mark.parametrize("border", list(MODES))
def test_masks_move_with_their_pictures(rng, border):
    x, masks = pictures(rng), labels(rng)
    text = f"rotate 30:30 border={border} | scale 0.8:0.8 | brightness 0.5 | blur 1 | cutout 0.3"
    y, moved_masks = together(text, x, masks)
    np.testing.assert_array_equal(y, done(text, x))
    assert moved_masks.dtype == np.uint8
    for n in range(7):
        expected = moved(masks[0, :, :, n], scaled(0.8) @ turned(30), "constant", fill=255, order=0)
        np.testing.assert_array_equal(moved_masks[0, :, :, n], expected)


def test_a_picture_as_its_own_mask(rng):
    x = rng.integers(0, 250, SHAPE).astype(np.uint8)
    text = (
        "rotate 25 fill=255 interpolation=nearest | elastic 1px 4px | shear 10 | crop 0.8 | hflip"
    )
    y, masks = together(text, x, x)
    np.testing.assert_array_equal(masks, y)


@pytest.mark.parametrize("text", ["brightness 0.5", "cutout 0.5 | noise 9 | blur 2 | hue 0.3"])
def test_only_moves_touch_masks(rng, text):
    masks = labels(rng, dtype=np.int64)
    _, same = together(text, pictures(rng), masks)
    np.testing.assert_array_equal(same, masks)
    assert same is not masks and same.dtype == np.int64


def test_masks_on_devices_and_in_parts(rng, xp):
    x, masks = pictures(rng), labels(rng, (2, 9, 12, 7), np.int32)
    text = "rotate 25 | elastic 1px 4px | shift 0.2"
    _, expected = together(text, x, masks)
    device = xp.to_device(x[..., 3:]), xp.to_device(masks[..., 3:])
    with xp.no_transfers():
        _, found = together(text, *device, offset=3, total=7)
    different = xp.to_host(found) != expected[..., 3:]
    assert different.mean() < (0.01 if xp.name != "numpy" else 1e-9)
    assert (expected == 255).any()


# ------------------------------------------------------------------------------------------ opacity
def test_what_is_transparent_gives_no_colour(rng):
    x = np.zeros((4, 9, 12, 2), np.float32)
    x[:3], x[3] = 255, 0
    x[:3, 3:6, 4:8], x[3, 3:6, 4:8] = 100, 255  # an opaque grey square on transparent white
    for text in ("rotate 20:20", "blur 1.5:1.5", "scale 1.7:1.7 | blur 1", "elastic 1px 4px"):
        y = done(text, x, alpha=True)
        seen = np.broadcast_to(y[3:] > 1, y[:3].shape)
        np.testing.assert_allclose(y[:3][seen], 100, atol=0.05)
        assert 0 < (y[3] > 1).mean() < 1


def test_what_lies_beyond_is_transparent():
    x = np.full((2, 9, 12, 1), 255, np.float32)
    y = done("rotate 45:45 fill=200", x, alpha=True)
    assert (y[1, 0, 0] == 0).all() and (y[1, 4, 6] == 255).all()
    whole = done("rotate 45:45 border=reflect", x, alpha=True)
    np.testing.assert_allclose(whole, 255, atol=1e-3)


def test_opacity_of_colours_only(rng):
    x = pictures(rng, (4, 9, 12, 2))
    y = done("brightness 0.5 | noise 9 | hue 0.2", x, alpha=True)
    np.testing.assert_array_equal(y[3], x[3])
    np.testing.assert_array_equal(done("brightness 0 | rotate 0", x, alpha=True)[3], x[3])


def test_opacity_on_devices(rng, xp):
    x = pictures(rng, (4, 9, 12, 2))
    text = "rotate 20 | blur 1 | contrast 0.2"
    device = xp.to_device(x)
    with xp.no_transfers():
        y = Augmentation.parse(text).apply(device, seed=3, step=1, alpha=True)
    np.testing.assert_allclose(xp.to_host(y), done(text, x, alpha=True), atol=0.02)


# ----------------------------------------------------------------------------------- use and misuse
def test_text_and_pickle():
    text = "hflip p=0.5 | rotate 15 | brightness 0.2"
    aug = Augmentation.parse(text)
    assert str(aug) == text == format_steps(parse(text))
    assert Augmentation(parse(text)) == aug == pickle.loads(pickle.dumps(aug))


def test_misuse(rng):
    x = pictures(rng)
    with pytest.raises(OptionError, match="there are no changes; write words with"):
        Augmentation(())
    with pytest.raises(ShapeError, match=r"a batch has channels, rows, columns .*; got shape"):
        done("hflip", x[0])
    with pytest.raises(ShapeError, match=r"got shape \(3, 0, 12, 7\)"):
        done("hflip", x[:, :0])
    with pytest.raises(ShapeError, match="7 pictures from number 2 on are no part of a batch of 8"):
        done("hflip", x, offset=2, total=8)
    with pytest.raises(ShapeError, match=r"7 pictures from number -1 on are no part of a batch$"):
        done("hflip", x, offset=-1)
    with pytest.raises(ShapeError, match=r"masks of shape .* do not fit pictures of .*; rows"):
        together("hflip", x, labels(rng)[:, :8])
    with pytest.raises(ShapeError, match="masks of shape"):
        together("hflip", x, labels(rng)[0])
    same = together("rotate 90:90", x, labels(rng, dtype=np.int8), ignore=-1)[1]
    assert same.min() == -1 and same.dtype == np.int8
    for dtype in (np.int8, np.float32, bool):
        with pytest.raises(OptionError, match=r"labels of type .* cannot hold 255.*use uint8"):
            together("hflip", x, labels(rng, dtype=dtype))
    import cnntool.augment

    with pytest.raises(AttributeError, match=r"'cnntool\.augment' has no attribute 'nothing'"):
        cnntool.augment.nothing  # noqa: B018
