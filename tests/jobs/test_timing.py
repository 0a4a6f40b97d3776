import pickle
import re

from cnntool.folder.job import Done, Item
from cnntool.jobs.timing import Timed


class Written:
    """A job that writes one file."""

    def outputs(self, item):
        return (f"{item.path}.out",)

    def __call__(self, item):
        return Done(paths=self.outputs(item), notes=("a note",), rows=({"text": "row"},))


def test_adds_one_note():
    timed = Timed(Written())
    assert timed.outputs(Item("a")) == ("a.out",)
    done = timed(Item("a"))
    assert done.paths == ("a.out",) and done.rows == ({"text": "row"},)
    first, second = done.notes
    assert first == "a note" and re.fullmatch(r"\d+\.\d{3} s", second)


def test_is_a_plain_value():
    from cnntool.folder.outputs import OutputPlan
    from cnntool.jobs.edges import EdgesJob

    timed = Timed(EdgesJob(plan=OutputPlan("folder", "out")))
    assert pickle.loads(pickle.dumps(timed)) == timed
