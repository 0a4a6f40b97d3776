"""Pictures that generators make: always the same ones, in any company."""

import dataclasses

import numpy as np
import pytest
from small_generators import KINDS, in_stages, of_class, of_vector, painter, plain, saved

from cnntool.errors import InputError, OptionError
from cnntool.filters.pyramid import expand
from cnntool.images.picture import Picture
from cnntool.predict import generator as module
from cnntool.predict import painter as painting
from cnntool.predict.conditions import enlarged, without_middle
from cnntool.predict.generator import Drawn, Generator, samples_of
from cnntool.predict.model import TrainedModel
from cnntool.predict.painter import Painter


@pytest.fixture
def loaded(tmp_path):
    """Writes a model and loads it."""
    return lambda model: Generator.load(saved(tmp_path, model))


# --- of numbers


def dense(model, x, prefix="0.dense"):
    weight, bias = model.tensors[f"{prefix}.weight"], model.tensors[f"{prefix}.bias"]
    return weight.astype(float) @ x + bias[:, None]


def test_of_numbers_by_hand(loaded):
    model = plain()
    generator = loaded(model)
    drawn = generator.draw([3, 4, 9])
    found = generator.pictures(drawn)
    expected = np.tanh(dense(model, drawn.noise[0])).reshape(1, 6, 8, 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert generator.shape == (1, 6, 8)
    assert generator.condition([0]) is None


def test_of_classes_by_hand(loaded):
    model = of_class()
    generator = loaded(model)
    drawn, condition = generator.draw([0, 1]), generator.condition([2, 0])
    assert condition.tolist() == [[0, 1], [0, 0], [1, 0]]
    found = generator.pictures(drawn, condition)
    x = np.concatenate([drawn.noise[0], condition])
    np.testing.assert_allclose(found, np.tanh(dense(model, x)).reshape(1, 6, 8, 2), atol=1e-6)


def test_of_vectors_by_hand(loaded, rng):
    model = of_vector()
    generator = loaded(model)
    vectors = rng.standard_normal((3, 2)).astype(np.float32)
    drawn = generator.draw([0, 1])
    found = generator.pictures(drawn, vectors)
    x = np.concatenate([drawn.noise[0], vectors])
    np.testing.assert_allclose(found, np.tanh(dense(model, x)).reshape(3, 4, 6, 2), atol=1e-6)


def test_in_stages_by_hand(loaded):
    """A class becomes two numbers; the small picture, enlarged, is seen by the second network."""
    model = in_stages()
    generator = loaded(model)
    drawn, condition = generator.draw([5, 6]), generator.condition([1, 2])
    found = generator.pictures(drawn, condition)
    said = dense(model, condition, "embed/0.dense")
    numbers = said[:2] + np.exp(said[2:]) * drawn.chance
    small = np.tanh(dense(model, np.concatenate([drawn.noise[0], numbers]))).reshape(3, 4, 2)
    weight = model.tensors["stage2/0.conv.weight"][0]
    bias = model.tensors["stage2/0.conv.bias"]
    for n in range(2):
        maps = [expand(small[..., n], (5, 8)), drawn.noise[1][0, ..., n]]
        maps += [np.full((5, 8), number) for number in numbers[:, n]]
        framed = np.pad(np.stack(maps), [(0, 0), (1, 1), (1, 1)])
        expected = [
            [(weight * framed[:, y : y + 3, x : x + 3]).sum() + bias[0] for x in range(8)]
            for y in range(5)
        ]
        np.testing.assert_allclose(found[0, ..., n], np.tanh(expected), atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "class", "vector", "stages"])
def test_a_picture_follows_from_its_seed_alone(name, loaded, monkeypatch):
    monkeypatch.setattr(module, "GROUP", 4)
    generator = loaded(KINDS[name]())
    many = list(range(7))
    condition = generator.condition([n % 3 for n in many])
    if name == "vector":
        condition = np.ones((3, 7), np.float32)
    together = generator.pictures(generator.draw(many), condition)
    for seed in (0, 3, 6):
        part = None if condition is None else condition[:, seed : seed + 1]
        alone = generator.pictures(generator.draw([seed]), part)
        np.testing.assert_allclose(alone[..., 0], together[..., seed], atol=1e-6)
    assert len({picture.tobytes() for picture in np.moveaxis(together, -1, 0)}) == 7


def test_seeds_may_be_large(loaded):
    generator = loaded(plain())
    one, other = (generator.draw([seed]).noise[0] for seed in (2**63, 2**63 + 1))
    assert not np.array_equal(one, other)


# --- on the way from one to another


def test_ways_begin_and_end_where_they_should(rng):
    a, b = (Drawn((rng.standard_normal((5, 3)), None), rng.standard_normal((2, 3))) for _ in "ab")
    for share, end in ((0.0, a), (1.0, b)):
        found = a.towards(b, np.full(3, share))
        np.testing.assert_allclose(found.noise[0], end.noise[0], atol=1e-6)
        np.testing.assert_allclose(found.chance, end.chance, atol=1e-6)
        assert found.noise[1] is None


def test_ways_are_arcs(rng):
    """Equal angles for equal shares, and lengths between those of the ends."""
    a, b = rng.standard_normal((2, 6, 1))
    shares = np.linspace(0, 1, 7)
    from_, to = (Drawn((np.repeat(x, 7, axis=1),)) for x in (a, b))
    found = from_.towards(to, shares).noise[0]
    unit = found / np.linalg.norm(found, axis=0)
    angles = np.arccos(np.clip((unit[:, 1:] * unit[:, :-1]).sum(axis=0), -1, 1))
    np.testing.assert_allclose(angles, angles[0], rtol=1e-4)
    lengths = np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(np.diff(lengths), np.diff(lengths)[0], atol=1e-5)


def test_a_way_to_itself(rng):
    a = Drawn((rng.standard_normal((4, 2)),))
    np.testing.assert_allclose(a.towards(a, np.array([0.3, 0.7])).noise[0], a.noise[0], atol=1e-6)
    zero = Drawn((np.zeros((4, 2)),))
    assert np.isfinite(zero.towards(a, np.array([0.3, 0.7])).noise[0]).all()


# --- models that do something else


def test_other_models_are_refused(tmp_path):
    with pytest.raises(OptionError, match="a model that makes pictures; a classifier is needed"):
        TrainedModel.load(saved(tmp_path, plain()))
    bare = dataclasses.replace(plain(), generation=None)
    found = Generator.load(saved(tmp_path, bare, "bare.safetensors"))
    assert found.generation.latent == 5


# --- of pictures


def picture(rng, *shape):
    return Picture(rng.integers(0, 256, shape).astype(np.uint8))


def signed(pixels):
    return pixels.astype(np.float32) / np.float32(127.5) - 1


def shown(samples):
    return np.rint(np.clip((samples + 1) * 127.5, 0, 255)).astype(np.uint8)


def test_samples_are_rounded_and_cut():
    values = np.array([-2, -1, -0.996, 0.5, 1, 3], np.float32)
    assert samples_of(values).tolist() == [0, 0, 1, 191, 255, 255]


def test_superres_by_hand(loaded, rng):
    """A network that makes nothing leaves the enlarged picture."""
    model = painter(spec="conv 1 1")
    model.tensors["0.conv.weight"][...] = 0
    model.tensors["0.conv.bias"][...] = 0
    found, notes = Painter(loaded(model)), []
    small = picture(rng, 4, 4)
    expected = shown(enlarged(signed(small.pixels)[None, ..., None]))[0, ..., 0]
    np.testing.assert_array_equal(found.paint(small, notes), expected)
    assert not notes
    assert found.factor == 2


@pytest.mark.parametrize("size", [(4, 4), (3, 2), (5, 9), (40, 70)])
def test_superres_of_any_size(size, loaded, rng, monkeypatch):
    """Larger pictures in tiles: far from their borders as one large network would make them."""
    monkeypatch.setattr(painting, "SIDE", 24)
    model = painter()
    generator = loaded(model)
    found, notes = Painter(generator), []
    small = picture(rng, *size)
    large = found.paint(small, notes)
    assert large.shape == (2 * size[0], 2 * size[1])
    assert not notes
    context = enlarged(signed(small.pixels)[None, ..., None])
    whole = module.Generator.load(generator.path)
    from cnntool.predict.tiles import of_size

    network = of_size(whole.networks[0], (1, *context.shape[1:3]))
    expected = shown(network.predict(context) + context)[0, ..., 0].astype(int)
    if size == (4, 4):
        np.testing.assert_array_equal(large, expected)
    inner = np.s_[4:-4, 4:-4]
    away = np.abs(large.astype(int) - expected)[inner]
    assert not away.size or away.mean() < 12  # tiles' own borders count little


def test_colour_from_grey(loaded, rng):
    model = painter("colorize", "", 3, spec="conv 3 1 | tanh")
    found = Painter(loaded(model))
    grey, colour = picture(rng, 8, 8), picture(rng, 8, 8, 3)
    made = found.paint(grey, [])
    weight = model.tensors["0.conv.weight"][:, 0, 0, 0]
    bias = model.tensors["0.conv.bias"]
    expected = np.tanh(signed(grey.pixels)[..., None] * weight + bias)
    assert np.abs(made.astype(int) - shown(expected)).max() <= 1
    assert found.paint(colour, []).shape == (8, 8, 3)


def test_a_gap_is_filled_and_the_rest_stays(loaded, rng):
    found, notes = Painter(loaded(painter("inpaint", "fills"))), []
    given = picture(rng, 8, 8)
    made = found.paint(given, notes)
    assert not notes
    middle = np.zeros((8, 8), bool)
    middle[2:6, 2:6] = True
    np.testing.assert_array_equal(made[~middle], given.pixels[~middle])
    context = without_middle(signed(given.pixels)[None, ..., None])
    raw = found.generator.networks[0].predict(context)
    np.testing.assert_array_equal(made[middle], shown(raw)[0, ..., 0][middle])
    found.paint(picture(rng, 20, 10), notes)
    assert notes == ["brought from 20×10 to 8×8, the size that this model knows"]


def test_networks_for_one_size_alone(loaded, rng):
    """What has dense layers gets pictures of its own size."""
    spec = "flatten | dense 64 | reshape 1x8x8 | tanh"
    found, notes = Painter(loaded(painter(joins="", spec=spec))), []
    assert found.paint(picture(rng, 4, 4), notes).shape == (8, 8)
    assert not notes
    assert found.paint(picture(rng, 9, 30), notes).shape == (8, 8)
    assert notes == ["brought from 9×30 to 4×4, the size that this model knows"]


def test_random_maps_have_a_seed(loaded, rng):
    generator = loaded(painter(latent=1))
    given = picture(rng, 4, 4)
    one, same, other = (Painter(generator, seed).paint(given, []) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_pictures_with_more_channels(loaded, rng):
    with pytest.raises(InputError, match="5 channels; pictures have one, or red"):
        Painter(loaded(painter())).paint(picture(rng, 4, 4, 5), [])
