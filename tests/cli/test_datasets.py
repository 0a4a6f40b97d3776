"""``datasets``: the list, one set, and downloads from a server with a certificate."""

import dataclasses
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import done, invoke, process, refused
from data_files import class_folder, npz, picture
from web_server import make_certificate, serving

from cnntool.data import mnist
from cnntool.data.dataset import Dataset, Split
from cnntool.data.known import KNOWN, Remote


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """The cache folder of one test, and no data sets of the system."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr("cnntool.data.places.INSTALLED", ())
    return folder / "cnntool" / "datasets"


@pytest.fixture
def digits(monkeypatch, rng):
    """A small set in place of MNIST."""
    images = rng.integers(0, 256, (30, 1, 28, 28), dtype=np.uint8)
    labels = np.arange(30) % 10
    labels[29] = 0
    data = Dataset("mnist", tuple("0123456789"), Split(images[:20], labels[:20]),
                   Split(images[20:], labels[20:]), fingerprint="f" * 64)  # fmt: skip
    monkeypatch.setattr(mnist, "load", lambda: data)
    return data


# --- the list ---


def test_the_list():
    lines = done("datasets").lines
    assert lines[0].split() == [
        "name", "classes", "train", "test", "size", "color", "where", "summary"
    ]  # fmt: skip
    assert len(lines) == 1 + len(KNOWN)
    assert lines[1].startswith("mnist")
    assert "10  60000  10000  28x28  gray   built in  " in lines[1]
    assert "32x32  rgb    to download, 162.2 MiB  Small photos" in lines[4]


def test_what_was_downloaded_is_found(cache):
    home = cache / "kmnist"
    home.mkdir(parents=True)
    for file in KNOWN["kmnist"].files:
        (home / file.name).write_bytes(b"")
    rows = [line.split("\t") for line in done("datasets", "--as", "tsv").lines]
    assert rows[3][0] == "kmnist" and rows[3][6] == str(home)


def test_the_list_for_programs():
    rows = json.loads(done("datasets", "--json").text)
    assert [row["name"] for row in rows] == list(KNOWN)
    cifar = rows[-1]
    assert cifar["classes"][3] == "cat" and cifar["shape"] == [3, 32, 32]
    assert cifar["path"] is None and cifar["download_bytes"] == 170_052_171
    assert rows[0]["licence"].startswith("CC BY-SA 3.0") and rows[0]["where"] == "built in"
    assert done("datasets", "--csv").lines[0] == "name,classes,train,test,size,color,where,summary"


def test_the_list_loads_nothing_heavy():
    code = (
        "import sys\nfrom cnntool.cli.main import _run\nassert _run(['datasets']) == 0\n"
        "heavy = [n for n in ('numpy', 'PIL', 'urllib.request', 'ssl') if n in sys.modules]\n"
        "assert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


# --- one data set ---


def test_the_built_in_one(digits):
    result = done("datasets", "mnist")
    assert result.lines[0].split() == ["number", "class", "train", "test"]
    assert result.lines[1].split() == ["0", "0", "2", "2"]
    assert result.lines[10].split() == ["9", "9", "2", "0"]
    assert result.lines[12:] == [
        "data set     mnist, built in",
        "pictures     train 20, test 10; 28x28 gray, input 1x28x28",
        "licence      CC BY-SA 3.0, Y. LeCun and C. Cortes; http://yann.lecun.com/exdb/mnist/",
        "fingerprint  " + "f" * 64,
    ]
    assert result.stderr == ""


def test_the_real_one():
    found = json.loads(process("datasets", "mnist", "--json").text)
    assert found["parts"] == {"train": 60_000, "test": 10_000} and found["task"] == "classify"
    assert found["fingerprint"] == mnist.FINGERPRINT
    assert found["classes"][1] == {"number": 1, "class": "1", "train": 6742, "test": 1135}


def test_a_folder(folder, rng):
    class_folder(folder / "d" / "train", {"cat": 3, "dog": 4}, rng)
    class_folder(folder / "d" / "val", {"dog": 2}, rng)
    result = done("datasets", "d/")
    assert [line.split() for line in result.lines[:3]] == [
        ["number", "class", "train", "validation"], ["0", "cat", "3", "0"], ["1", "dog", "4", "2"],
    ]  # fmt: skip
    assert result.lines[4] == "data set     d, d/"
    assert not any(line.startswith("licence") for line in result.lines)
    assert result.errors == ["cnntool: sizes found: 5x7 (9); modes: L (9)"]
    assert invoke("datasets", "d", "-q").stderr == ""
    assert [json.loads(line)["class"] for line in done("datasets", "d", "--as", "jsonl").lines] == [
        "cat", "dog",
    ]  # fmt: skip


def test_pictures_of_several_sizes(folder, rng):
    class_folder(folder / "d", {"a": 2}, rng)
    class_folder(folder / "d", {"b": 2}, rng, size=(9, 9), channels=3)
    message = refused(4, "datasets", "d")
    assert "2 sizes: 5x7 (2), 9x9 (2); choose one with --size HxW" in message
    options = ("--size", "6x4", "--fit", "pad", "--color", "gray", "--json")
    found = json.loads(done("datasets", "d", *options).text)
    assert found["shape"] == [1, 6, 4] and found["color"] == "gray"
    assert found["notes"] == ["sizes found: 5x7 (2), 9x9 (2); modes: L (2), RGB (2)"]


def test_masks(folder, rng):
    for name in "ab":
        picture(folder / "d" / "images" / f"{name}.png", rng.integers(0, 256, (2, 3)))
        picture(folder / "d" / "masks" / f"{name}.png", [[0, 1, 1], [255, 0, 0]])
    result = done("datasets", "d")
    assert result.lines[1].split() == ["0", "0", "6"] and result.lines[2].split() == ["1", "1", "4"]
    assert "labels       a class for every pixel; the table counts pixels" in result.lines


def test_a_file(folder, rng):
    x = rng.integers(0, 256, (4, 3, 5), dtype=np.uint8)
    (folder / "d.npz").write_bytes(npz({"x": x, "y": np.array([0, 1, 0, 1])}))
    assert "data set     d, d.npz" in done("datasets", "d.npz").lines


def test_odd_names_do_no_harm(folder, rng):
    class_folder(folder / "d\x1b[31m", {"a": 1, "b\x07": 1}, rng)
    result = done("datasets", "d\x1b[31m")
    assert "\x1b" not in result.text and "\x07" not in result.text


@pytest.mark.parametrize(
    ("status", "source", "words"),
    [
        (2, "mnits", "unknown data set 'mnits'; did you mean 'mnist'"),
        (1, "gone/", "'gone/': no such file or folder; a data set is a folder with"),
        (1, "kmnist", "kmnist is not on this machine; 'cnntool datasets download kmnist' gets it"),
        (4, ".", "'.': no folders of classes"),
    ],
)
def test_what_is_no_data_set(folder, status, source, words):
    assert words in refused(status, "datasets", source)


# --- downloads ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def mirror(certificate, monkeypatch):
    """A server that has the files of kmnist, which are small for once."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    with serving(certificate) as server:
        files = []
        for file in KNOWN["kmnist"].files:
            data = file.name.encode() * 9
            server.answers[f"/good/{file.name}"] = data
            files.append(Remote(file.name, len(data), hashlib.sha256(data).hexdigest()))
        small = dataclasses.replace(
            KNOWN["kmnist"], files=tuple(files), mirrors=(server.url + "bad/", server.url + "good/")
        )
        monkeypatch.setitem(KNOWN, "kmnist", small)
        yield server


def test_a_download(mirror, cache):
    result = done("datasets", "download", "kmnist")
    paths = [str(cache / "kmnist" / file.name) for file in KNOWN["kmnist"].files]
    assert result.lines == paths
    assert len(result.errors) == 4  # the first mirror has nothing
    assert "train-images-idx3-ubyte.gz not from localhost:" in result.errors[0]
    assert "the server says 404 Not Found" in result.errors[0]
    assert sorted(p.name for p in (cache / "kmnist").iterdir()) == sorted(
        path.rpartition("/")[2] for path in paths
    )
    again = done("datasets", "download", "kmnist")
    assert again.lines == []
    assert again.errors == [f"cnntool: kmnist is in '{cache / 'kmnist'}' already"]
    assert str(cache / "kmnist") in done("datasets").lines[3]


def test_a_download_elsewhere(mirror, folder):
    result = done("datasets", "download", "kmnist", "-o", "here/k", "-q")
    assert result.lines[0] == "here/k/train-images-idx3-ubyte.gz" and result.stderr == ""
    (folder / "here" / "k" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"other")
    words = refused(2, "datasets", "download", "kmnist", "-o", "here/k")
    assert "'here/k/t10k-labels-idx1-ubyte.gz' exists and is another file; -f (--force)" in words
    assert len(done("datasets", "download", "kmnist", "-o", "here/k", "-f").lines) == 1


def test_a_bar_on_a_terminal(mirror, folder):
    result = done("datasets", "download", "kmnist", "-o", "k", terminal="stderr")
    assert "kB" in result.stderr or "bytes" in result.stderr
    result = done("datasets", "download", "kmnist", "-o", "l", "--no-progress", terminal="stderr")
    assert "\x1b" not in result.stderr


def test_a_wrong_file_everywhere(mirror, cache):
    mirror.answers["/good/t10k-labels-idx1-ubyte.gz"] = b"x" * 25 * 9
    result = invoke("datasets", "download", "kmnist")
    assert result.status == 3
    assert result.errors[-1].endswith("this is another file: its SHA-256 differs")
    assert "kmnist: t10k-labels-idx1-ubyte.gz cannot be downloaded" in result.errors[-1]
    assert len(list((cache / "kmnist").iterdir())) == 3


def test_an_unknown_certificate(mirror, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    result = invoke("datasets", "download", "kmnist")
    assert result.status == 3 and "its certificate is not valid" in result.errors[-1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist", "mnist is built in; there is nothing to download"),
        ("cifar", "unknown data set 'cifar'; did you mean 'cifar10'?"),
    ],
)
def test_what_cannot_be_downloaded(name, words):
    assert words in refused(2, "datasets", "download", name)


def test_no_name():
    assert "Missing argument 'NAME'" in refused(2, "datasets", "download")


def test_without_a_home(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "nowhere")
    assert "without a home; name one with -o" in refused(2, "datasets", "download", "kmnist")


def test_help_of_both():
    assert (
        "  download  Download a data set, checked by its SHA-256." in done("datasets", "-h").lines
    )
    lines = done("datasets", "download", "-h").lines
    assert lines[0] == "Usage: cnntool datasets download [OPTIONS] NAME"
    assert lines[3].startswith("  cnntool datasets download fashion-mnist")


def test_variables_of_both(mirror, folder):
    env = {"CNNTOOL_DATASETS_DOWNLOAD_OUTPUT": "v", "CNNTOOL_DATASETS_AS": "csv"}
    assert done("datasets", "download", "kmnist", env=env).lines[0].startswith("v/train")
    assert done("datasets", env=env).lines[0].startswith("name,classes")


def complete(words, place):
    env = {"_CNNTOOL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    return [line.rpartition(",")[2] for line in done(env=env).lines if line]


def test_completion():
    assert complete("cnntool datasets fash", 2) == ["fashion-mnist"]
    assert complete("cnntool datasets download k", 3) == ["kmnist"]
    assert complete("cnntool datas", 1) == ["datasets"]
    assert "--force" in complete("cnntool datasets download --f", 3)
