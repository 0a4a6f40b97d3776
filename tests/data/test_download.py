"""Whole data sets from several mirrors: only the right bytes get a name."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from data_files import idx
from web_server import cut, redirect, serving

from cnntool.data import download as module
from cnntool.data.download import download
from cnntool.data.known import Known, Remote
from cnntool.data.loading import load
from cnntool.errors import ModelFileError, OptionError, SystemFailure

PLAIN = ("http",)
FILES = {"a.gz": b"alpha" * 20_000, "b.gz": b"beta" * 9}


@pytest.fixture
def mirrors(monkeypatch):
    """Two servers that have everything below /one/ and /two/."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        for place in ("one", "two"):
            server.answers |= {f"/{place}/{name}": data for name, data in FILES.items()}
        yield server


@pytest.fixture
def run(mirrors, folder):
    """Downloads into d; gives the paths written, sentences and progress."""

    def function(entry=None, **options):
        run.told, run.progress = [], []
        return download(
            entry or known(mirrors), "d", schemes=PLAIN, tell=run.told.append,
            progress=lambda done, total: run.progress.append((done, total)), **options,
        )  # fmt: skip

    run = function
    return run


def known(server, files=FILES, places=("one/", "two/"), **more):
    remotes = tuple(Remote(n, len(d), hashlib.sha256(d).hexdigest()) for n, d in files.items())
    addresses = tuple(server.url + place for place in places)
    return Known("toy", "Toys", ("a", "b"), (1, 2, 2), 1, 1, "none", "http://x",
                 files=remotes, mirrors=addresses, **more)  # fmt: skip


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / "d").iterdir()}


def test_everything_from_the_first_mirror(run, mirrors, folder):
    assert run() == ["d/a.gz", "d/b.gz"]
    assert contents(folder) == FILES and run.told == []
    assert mirrors.asked == ["/one/a.gz", "/one/b.gz"]
    total = sum(map(len, FILES.values()))
    assert run.progress[-1] == (total, total) and run.progress == sorted(run.progress)


def test_what_is_there_is_not_asked_for(run, mirrors, folder):
    run()
    (folder / "d" / "b.gz").unlink()
    mirrors.asked.clear()
    assert run() == ["d/b.gz"] and mirrors.asked == ["/one/b.gz"]
    assert run() == [] and len(mirrors.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "the server says 404"),
        (b"x" * len(FILES["a.gz"]), "this is another file: its SHA-256 differs"),
        (FILES["a.gz"][:-1], "bytes, 100000 are expected"),
        (FILES["a.gz"] + b"x", "bytes, 100000 are expected"),
        (cut(FILES["a.gz"][:50], 100_000), "the connection ended after 50 of 100000"),
        (redirect("file:///etc/passwd"), "only http is followed"),
        (lambda handler: handler.send_error(503), "the server says 503"),
    ],
)
def test_a_bad_mirror_is_passed_over(run, mirrors, folder, answer, words):
    mirrors.answers["/one/a.gz"] = answer
    assert run() == ["d/a.gz", "d/b.gz"]
    assert contents(folder) == FILES
    assert len(run.told) == 1 and words in run.told[0]
    assert run.told[0].startswith("a.gz not from localhost:")


def test_no_mirror_has_it(run, mirrors, folder):
    mirrors.answers["/one/b.gz"] = None
    mirrors.answers["/two/b.gz"] = b"y" * len(FILES["b.gz"])
    with pytest.raises(SystemFailure) as caught:
        run()
    assert str(caught.value).startswith("toy: b.gz cannot be downloaded: localhost:")
    assert str(caught.value).endswith("this is another file: its SHA-256 differs")
    assert caught.value.exit_code == 3 and len(run.told) == 2
    assert contents(folder) == {"a.gz": FILES["a.gz"]}  # whole files stay, nothing else


def test_other_files_are_not_replaced(run, mirrors, folder):
    (folder / "d").mkdir()
    (folder / "d" / "a.gz").write_bytes(b"mine")
    with pytest.raises(OptionError, match=r"'d/a.gz' exists and is another file; -f"):
        run()
    assert contents(folder) == {"a.gz": b"mine"} and mirrors.asked == []
    assert run(force=True) == ["d/a.gz", "d/b.gz"]
    assert contents(folder) == FILES


def test_a_failed_try_leaves_the_old_file(run, mirrors, folder):
    (folder / "d").mkdir()
    (folder / "d" / "a.gz").write_bytes(b"mine")
    mirrors.answers = {}
    with pytest.raises(SystemFailure):
        run(force=True)
    assert contents(folder) == {"a.gz": b"mine"}


def test_a_place_that_cannot_be_written(run, folder):
    (folder / "d").write_bytes(b"a file")
    with pytest.raises(SystemFailure, match="'d': cannot be made: File exists"):
        run()


def test_an_interruption_leaves_nothing(run, folder, mirrors):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(known(mirrors), "d", schemes=PLAIN, progress=stop)
    assert contents(folder) == {}


# --- archives ---


def archive(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PARTS = {"one.bin": b"1" * 50, "two.bin": b"2" * 50}


@pytest.fixture
def packed(mirrors, monkeypatch):
    monkeypatch.setitem(module.MEMBER_SIZES, "cifar", 50)

    def function(members, data=None):
        data = archive(members) if data is None else data
        mirrors.answers["/one/x.tar.gz"] = data
        return known(mirrors, {"x.tar.gz": data}, kind="cifar", members=tuple(PARTS))

    return function


def test_members_are_taken_out(run, packed, folder, mirrors):
    entry = packed({"top/readme.html": b"hello", **{f"top/{n}": d for n, d in PARTS.items()}})
    assert run(entry) == ["d/one.bin", "d/two.bin"]
    assert contents(folder) == PARTS  # the archive is gone
    mirrors.asked.clear()
    assert run(entry) == [] and mirrors.asked == []


def test_names_in_an_archive_lead_nowhere(run, packed, folder):
    entry = packed({
        "/etc/one.bin": PARTS["one.bin"], "../../two.bin": PARTS["two.bin"], "../evil": b"x",
    })  # fmt: skip
    run(entry)
    assert contents(folder) == PARTS
    assert sorted(p.name for p in folder.iterdir()) == ["d"]


@pytest.mark.parametrize(
    "members",
    [
        {"one.bin": b"1" * 50},
        {"one.bin": b"1" * 50, "two.bin": b"2" * 49},
        {"one.bin": b"1" * 50, "two.bin": None},
    ],
)
def test_archives_that_lack_something(run, packed, members):
    with pytest.raises(ModelFileError, match=r"'d/x.tar.gz': lacks two.bin"):
        run(packed(members))


def test_damaged_archives(run, packed):
    data = archive(PARTS)
    with pytest.raises(ModelFileError, match=r"'d/x.tar.gz': damaged archive"):
        run(packed({}, data[: len(data) // 2]))
    with pytest.raises(ModelFileError, match="damaged archive"):
        run(packed({}, b"no archive"), force=True)


def test_a_set_like_fashion_mnist(run, mirrors, folder, rng):
    """Downloaded, and then a data set."""
    files = {}
    for part, count in (("train", 12), ("t10k", 6)):
        images = rng.integers(0, 256, (count, 5, 7), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        labels = np.arange(count, dtype=np.uint8) % 3
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
    mirrors.answers |= {f"/one/{name}": data for name, data in files.items()}
    assert len(run(known(mirrors, files))) == 4
    assert len(load("d").train) == 12
