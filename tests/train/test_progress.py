"""How far a training has come, and that it comes back bit by bit."""

import json
import math
import re

import pytest

from cnntool.train.progress import ROW_NAMES, Progress


def some():
    progress = Progress()
    for loss, right, images in ((1.5, 3, 10), (0.1 + 0.2, 7, 10), (1 / 3, 2, 4)):
        progress.count(loss, images, right, 2 * images)
    return progress


def test_steps_are_summed_by_pictures():
    progress = some()
    assert (progress.batch, progress.step, progress.right, progress.seen) == (3, 3, 12, 24)
    assert progress.counted == 48
    assert progress.loss == pytest.approx(1.5 * 10 + 0.3 * 10 + 4 / 3)


def test_an_epoch_ends():
    progress = some()
    progress.seconds, progress.epoch_seconds = 5.0, 2.0
    row = {"epoch": 1, "train_loss": 0.5}
    progress.close_epoch(row)
    row["epoch"] = 99
    assert progress.history == [{"epoch": 1, "train_loss": 0.5}]
    assert (progress.epoch, progress.step, progress.seconds) == (1, 3, 5.0)
    assert (progress.batch, progress.right, progress.seen, progress.loss) == (0, 0, 0, 0.0)
    assert progress.counted == 0
    assert progress.epoch_seconds == 0.0


def test_bit_by_bit():
    progress = some()
    progress.close_epoch(dict.fromkeys(ROW_NAMES, 0.1 + 0.2) | {"epoch": 1, "val_loss": None})
    progress.count(math.pi, 3, 1, 3)
    progress.best, progress.best_value, progress.stopped_early = 1, 2 / 3, True
    found = Progress.from_json(json.loads(json.dumps(progress.as_json())))
    assert found == progress
    assert found.loss.hex() == progress.loss.hex()
    found.history[0]["epoch"] = 5
    assert progress.history[0]["epoch"] == 1


def test_whole_numbers_stand_for_others():
    """JSON of other programs writes 0 for 0.0."""
    assert Progress.from_json({**Progress().as_json(), "loss": 0}) == Progress()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": "1"}, "'epoch' is no int"),
        ({"epoch": 1.0}, "'epoch' is no int"),
        ({"step": True}, "'step' is no int"),
        ({"loss": None}, "'loss' is no float"),
        ({"stopped_early": 0}, "'stopped_early' is no bool"),
        ({"history": {}}, "'history' is no list"),
        ({"history": [3]}, "'history' has other columns"),
        ({"history": [{"accuracy": 1}]}, "'history' has other columns"),
        ({"batch": -1}, "a count is negative"),
        ({"steps": 3}, "unexpected keyword argument 'steps'"),
    ],
)
def test_strange_values(changes, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        Progress.from_json({**Progress().as_json(), **changes})
