"""Made pictures: what is in a mask is in its picture, and all follows from the seed."""

import numpy as np
import pytest

from cnntool.data.made import KINDS, find, folder, made
from cnntool.data.made.textures import texture
from cnntool.errors import NameNotFound, OptionError, SystemFailure


@pytest.mark.parametrize("kind", list(KINDS))
def test_pictures_follow_from_seed_part_and_number(kind):
    first = made(find(kind), (24, 40), seed=3, part=0, number=5)
    again = made(find(kind), (24, 40), seed=3, part=0, number=5)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    others = [
        made(find(kind), (24, 40), seed=seed, part=part, number=number)[0]
        for seed, part, number in ((4, 0, 5), (3, 1, 5), (3, 0, 6))
    ]
    assert all((first[0] != other).any() for other in others)
    assert first[0].shape == (24, 40, 3) and first[1].shape == (24, 40)
    assert first[0].dtype == first[1].dtype == np.uint8


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_class_occurs_and_none_beyond(kind):
    masks = [made(find(kind), (48, 40), seed=0, part=0, number=n)[1] for n in range(60)]
    assert set(np.unique(masks)) == set(range(len(find(kind).classes)))


def test_what_a_mask_shows_is_in_the_picture():
    """Digits stand out from what is around them."""
    for number in range(10):
        image, mask = made(find("digit-scenes"), (64, 64), seed=1, part=0, number=number)
        grey = image.astype(float).mean(axis=2)
        assert mask.any()
        assert abs(grey[mask > 0].mean() - grey[mask == 0].mean()) > 20


def test_textures(rng):
    for _ in range(20):
        found = texture(rng, (9, 14))
        assert found.shape == (9, 14, 3) and 0 <= found.min() <= found.max() <= 255


def test_an_unknown_kind():
    with pytest.raises(NameNotFound, match="unknown kind of data 'digits'"):
        find("digits")


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    place = tmp_path / "d"
    kind = find("shapes")
    folder.make(kind, str(place), 3, size=(16, 20), seed=0)
    before = sorted(p.relative_to(place) for p in place.rglob("*"))

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    for force in (False, True):
        target = place if force else tmp_path / "e"
        with pytest.raises(KeyboardInterrupt):
            folder.make(kind, str(target), 5, size=(16, 20), seed=1, force=force, progress=stop)
    assert sorted(p.relative_to(place) for p in place.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
    with pytest.raises(OptionError, match=r"exists; -f \(--force\) replaces it"):
        folder.make(kind, str(place), 3, size=(16, 20), seed=0)
    real, failures = folder.os.rename, []

    def broken(source, target):
        if str(target) == str(place) and not failures:
            failures.append(target)
            raise PermissionError(13, "Permission denied")
        return real(source, target)

    monkeypatch.setattr(folder.os, "rename", broken)
    with pytest.raises(SystemFailure, match="Permission denied"):
        folder.make(kind, str(place), 4, size=(16, 20), seed=1, force=True)
    assert failures and sorted(p.relative_to(place) for p in place.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_only_what_was_made_is_replaced(tmp_path):
    """A folder with somebody's own files stays, with and without force."""
    kind = find("shapes")
    place = tmp_path / "d"
    folder.make(kind, str(place), 3, size=(16, 20), seed=0)
    record = (place / "made.json").read_text()
    assert record == '{"kind": "shapes", "count": 3, "size": [16, 20], "seed": 0}\n'

    def refused():
        for force in (False, True):
            with pytest.raises(OptionError, match=r"holds other files than a made data set"):
                folder.make(kind, str(place), 3, size=(16, 20), seed=0, force=force)

    (place / "train/thesis").mkdir()
    refused()
    (place / "train/thesis").rmdir()
    for extra in ("thesis.txt", "train/thesis.txt", "train/images/holiday.png"):
        (place / extra).write_text("mine")
        refused()
        assert (place / extra).read_text() == "mine"
        (place / extra).unlink()
    (place / "train/masks/0.png").rename(place / "train/masks/mine.png")  # as many as there were
    refused()
    (place / "train/masks/mine.png").rename(place / "train/masks/0.png")
    for broken in ("", "{}", "[]", '{"count": "x"}', '{"count": 1e99}', '{"count": 0}'):
        (place / "made.json").write_text(broken)
        refused()
    (place / "made.json").unlink()
    refused()
    (place / "made.json").write_text(record)
    (place / "train/images/1.png").unlink()
    folder.make(kind, str(place), 3, size=(16, 20), seed=0, force=True)
    assert (place / "train/images/1.png").exists()


def test_folders_that_are_there_already(tmp_path, monkeypatch):
    kind = find("shapes")
    place = tmp_path / "d"
    place.mkdir(mode=0o700)
    folder.make(kind, str(place), 3, size=(16, 20), seed=0)
    assert place.stat().st_mode & 0o777 == 0o700
    empty = tmp_path / "e"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for name in (".", str(empty)):
        with pytest.raises(OptionError, match="is the current folder, which cannot be replaced"):
            folder.make(kind, name, 3, size=(16, 20), seed=0)
