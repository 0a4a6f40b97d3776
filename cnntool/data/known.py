"""Data sets that have a name: the built-in one, and those that can be downloaded.

Sizes and SHA-256 are those of the files as their authors publish them. A file from any mirror must
match both, so a mirror can be gone or wrong but never do harm. Nothing here loads NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnntool.errors import NameNotFound


@dataclass(frozen=True)
class Remote:
    """A file to download.

    Attributes:
        name: Of the file, at the end of every mirror's address.
        size: Bytes.
        sha256: Of the file, 64 hex digits.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Known:
    """A data set with a name.

    Attributes:
        name: The word for the command line.
        summary: What the pictures show.
        classes: Names of the classes in the order of their numbers.
        shape: (C, H, W) of the pictures.
        train: Pictures to learn from.
        test: Pictures to test with.
        licence: As its authors state it.
        page: Where it comes from.
        kind: How its files are laid out: ``embedded``, ``idx`` or ``cifar``.
        files: What is downloaded.
        mirrors: Addresses of folders that have these files, the authors' own first.
        members: Files that are taken out of an archive, and kept in its place.
    """

    name: str
    summary: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int
    licence: str
    page: str
    kind: str = "idx"
    files: tuple[Remote, ...] = ()
    mirrors: tuple[str, ...] = ()
    members: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the files that are there in the end."""
        return self.members or tuple(file.name for file in self.files)


_DIGITS = tuple("0123456789")

KNOWN: dict[str, Known] = {
    entry.name: entry
    for entry in (
        Known(
            "mnist",
            "Handwritten digits",
            _DIGITS,
            (1, 28, 28),
            60_000,
            10_000,
            "CC BY-SA 3.0, Y. LeCun and C. Cortes",
            "http://yann.lecun.com/exdb/mnist/",
            kind="embedded",
        ),
        Known(
            "fashion-mnist",
            "Photos of clothes",
            (
                "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
            ),
            (1, 28, 28),
            60_000,
            10_000,
            "MIT, Zalando SE",
            "https://github.com/zalandoresearch/fashion-mnist",
            files=(
                Remote(
                    "train-images-idx3-ubyte.gz",
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                Remote(
                    "train-labels-idx1-ubyte.gz",
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                Remote(
                    "t10k-images-idx3-ubyte.gz",
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                Remote(
                    "t10k-labels-idx1-ubyte.gz",
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
            mirrors=(
                "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            ),
        ),
        Known(
            "kmnist",
            "Cursive Japanese characters, one for each row of hiragana",
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            (1, 28, 28),
            60_000,
            10_000,
            "CC BY-SA 4.0, ROIS-DS Center for Open Data in the Humanities",
            "https://codh.rois.ac.jp/kmnist/",
            files=(
                Remote(
                    "train-images-idx3-ubyte.gz",
                    18_165_135,
                    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                ),
                Remote(
                    "train-labels-idx1-ubyte.gz",
                    29_497,
                    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                ),
                Remote(
                    "t10k-images-idx3-ubyte.gz",
                    3_041_136,
                    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                ),
                Remote(
                    "t10k-labels-idx1-ubyte.gz",
                    5_120,
                    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            ),
            mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        ),
        Known(
            "cifar10",
            "Small photos of animals and vehicles",
            (
                "airplane", "automobile", "bird", "cat", "deer",
                "dog", "frog", "horse", "ship", "truck",
            ),
            (3, 32, 32),
            50_000,
            10_000,
            "none stated, A. Krizhevsky",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            kind="cifar",
            files=(
                Remote(
                    "cifar-10-binary.tar.gz",
                    170_052_171,
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
            mirrors=(
                "https://www.cs.toronto.edu/~kriz/",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
            ),
            members=(*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
        ),
    )
}  # fmt: skip
"""Every data set with a name."""


def find(name: str) -> Known:
    """The data set called ``name``.

    Raises:
        NameNotFound: There is none.

    Example:
        >>> find("cifar10").shape
        (3, 32, 32)
    """
    if name not in KNOWN:
        raise NameNotFound.among("data set", name, KNOWN, "cnntool datasets")
    return KNOWN[name]
