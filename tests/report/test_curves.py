"""Curves of a training, as a picture and as text."""

import io
import logging
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import MissingPackage
from cnntool.report.curves import curves_chart, curves_png


def rows(epochs, *columns):
    """Plausible numbers of so many epochs."""
    values = {
        "train_loss": lambda n: 2 * math.exp(-n),
        "train_accuracy": lambda n: 1 - 0.3 * math.exp(-n),
        "val_loss": lambda n: 1.5 * math.exp(-n) + 0.1,
        "val_accuracy": lambda n: 0.97 - 0.2 * math.exp(-n),
    }
    chosen = columns or tuple(values)
    return [
        {"epoch": n, "lr": 0.1, "seconds": 1.0 * n, **{name: values[name](n) for name in chosen}}
        for n in range(1, epochs + 1)
    ]


# --- picture ---


def image(data):
    with Image.open(io.BytesIO(data)) as found:
        assert found.format == "PNG"
        assert not found.info.get("Software")
        return np.asarray(found.convert("RGB")).astype(int)


def like(pixels, colour, *, off=30):
    """How many pixels have nearly this colour."""
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return int((np.abs(pixels - wanted).max(axis=2) < off).sum())


BLUE, ORANGE = "#1f5f9e", "#e07b1a"


class TestPicture:
    @pytest.fixture(autouse=True)
    def _matplotlib(self):
        pytest.importorskip("matplotlib", reason="matplotlib is an extra")

    def test_both_lines_are_drawn(self):
        pixels = image(curves_png(rows(5)))
        assert pixels.shape == (504, 1200, 3)
        assert like(pixels, BLUE) > 500
        assert like(pixels, ORANGE) > 500
        left, right = pixels[:, :600], pixels[:, 600:]
        for half in (left, right):
            assert like(half, BLUE) > 200

    def test_what_is_missing_is_not_drawn(self):
        pixels = image(curves_png(rows(5, "train_loss")))
        assert like(pixels, ORANGE) == 0
        assert like(pixels[:, :600], BLUE) > 200
        assert like(pixels[:, 600:], BLUE) == 0

    def test_numbers_that_are_not_finite_are_left_out(self):
        broken = rows(6)
        broken[2] |= {"train_loss": math.nan, "val_loss": None, "val_accuracy": math.inf}
        image(curves_png(broken))
        image(curves_png([{"epoch": 1, "train_loss": math.nan}]))

    def test_one_epoch_and_none(self):
        assert like(image(curves_png(rows(1))), BLUE) > 20
        image(curves_png([]))

    def test_the_test_is_a_line_across(self):
        plain = image(curves_png(rows(5)))
        tested = image(curves_png(rows(5), test={"accuracy": 0.985, "loss": 0.05}))
        assert like(tested, "#3a3a3a") > like(plain, "#3a3a3a") + 300

    def test_same_rows_same_bytes(self):
        assert curves_png(rows(5), "a") == curves_png(rows(5), "a")
        assert curves_png(rows(5), "a") != curves_png(rows(5), "b")

    def test_any_title(self):
        image(curves_png(rows(3), "costs $5 and $x_{ 漢 \udce9 \n"))

    def test_says_nothing_and_leaves_loggers_alone(self, caplog, capsys):
        logger = logging.getLogger("matplotlib")
        logger.setLevel(logging.WARNING)
        curves_png(rows(3), "title")
        assert logger.level == logging.WARNING
        assert not caplog.records
        assert capsys.readouterr() == ("", "")

    def test_needs_no_window(self):
        code = (
            "import sys; from cnntool.report.curves import curves_png\n"
            "assert 'matplotlib' not in sys.modules\n"
            "curves_png([{'epoch': 1, 'train_loss': 1.0}])\n"
            "assert 'matplotlib.pyplot' not in sys.modules\n"
            "assert 'tkinter' not in sys.modules\n"
        )
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()


def test_without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match=r"need matplotlib; pip install 'cnntool\[plot\]'"):
        curves_png(rows(3))


# --- text ---


def test_side_by_side_where_there_is_room():
    found = curves_chart(rows(5), 80)
    assert len(found) == 11
    assert found[0].split() == ["loss", "(logarithmic)", "accuracy"]
    assert all(len(row) <= 80 for row in found)
    assert sum(row.count("train") for row in found) == 2
    assert sum(row.count("validation") for row in found) == 2
    assert found[-1].split() == ["1", "epoch", "5"] * 2


def test_below_each_other_where_there_is_not():
    found = curves_chart(rows(5), 60)
    assert len(found) == 22
    assert [found[0], found[11]] == ["loss (logarithmic)", "accuracy"]
    assert all(len(row) <= 60 for row in found)


@pytest.mark.parametrize("width", [28, 40, 76, 79, 100, 130, 500])
def test_widths(width):
    found = curves_chart(rows(40), width)
    assert found
    assert all(len(row) <= min(width, 123) for row in found)


def test_plain_signs():
    for encoding in ("ascii", "cp1252", None):
        assert all(row.isascii() for row in curves_chart(rows(5), 80, encoding))
    assert not all(row.isascii() for row in curves_chart(rows(5), 80))


def test_one_line_is_named_in_the_title():
    found = curves_chart(rows(5, "train_loss"), 80)
    assert found[0] == "train loss (logarithmic)"
    assert "train" not in "".join(found[1:])
    assert curves_chart(rows(3, "val_accuracy"), 80)[0] == "validation accuracy"


def test_losses_that_hardly_change_are_not_logarithmic():
    level = [{"epoch": n, "train_loss": 1 + 1 / n} for n in range(1, 6)]
    assert curves_chart(level, 80)[0] == "train loss"
    negative = [{"epoch": n, "train_loss": 1.0 - n} for n in range(1, 6)]
    assert curves_chart(negative, 80)[0] == "train loss"


def test_fewer_than_two_epochs_have_no_chart():
    assert curves_chart([], 80) == []
    assert curves_chart(rows(1), 80) == []
    assert curves_chart(rows(5), 27) == []
    broken = rows(3, "train_loss")
    broken[0]["train_loss"] = broken[2]["train_loss"] = math.nan
    assert curves_chart(broken, 80) == []


def test_epochs_that_were_not_counted_from_one():
    later = rows(9, "train_loss")[4:]
    assert curves_chart(later, 80)[-1].split() == ["5", "epoch", "9"]
