"""Where data sets lie, and what is known of those with a name."""

import string
from urllib.parse import urlsplit

import pytest

from cnntool.data.known import KNOWN, find
from cnntool.data.places import cache_folder, candidates, download_folder, found
from cnntool.errors import NameNotFound


def test_the_cache_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x/y")
    assert cache_folder() == "/x/y/cnntool"
    assert download_folder("a") == "/x/y/cnntool/datasets/a"
    assert candidates("a")[0] == "/x/y/cnntool/datasets/a"
    assert "/usr/share/datasets/a" in candidates("a")
    monkeypatch.setenv("HOME", "/home/me")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder() == "/home/me/.cache/cnntool"
    monkeypatch.setenv("HOME", "nowhere")
    assert cache_folder() is None and download_folder("a") is None


def test_all_files_must_be_there(cache):
    entry = find("kmnist")
    home = cache / "datasets" / "kmnist"
    home.mkdir(parents=True)
    for file in entry.files:
        assert found(entry) is None
        (home / file.name.removesuffix(".gz")).write_bytes(b"")  # unpacked is fine
    assert found(entry) == str(home)


def test_embedded_ones_are_nowhere():
    assert found(find("mnist")) is None


def test_unknown_names():
    with pytest.raises(NameNotFound, match="unknown data set 'cifar'; did you mean 'cifar10'"):
        find("cifar")


@pytest.mark.parametrize("entry", KNOWN.values(), ids=KNOWN)
def test_what_is_known(entry):
    assert len(set(entry.classes)) == len(entry.classes) == 10
    assert entry.licence and entry.summary and entry.page.startswith("http")
    assert bool(entry.files) == bool(entry.mirrors) == (entry.kind != "embedded")
    for mirror in entry.mirrors:
        assert urlsplit(mirror).scheme == "https" and mirror.endswith("/")
    for file in entry.files:
        assert len(file.sha256) == 64 and set(file.sha256) <= set(string.hexdigits.lower())
        assert file.size > 1000


def test_known_sizes():
    assert find("fashion-mnist").size == 30_878_645
    assert find("kmnist").size == 21_240_888
    assert find("cifar10").size == 170_052_171
