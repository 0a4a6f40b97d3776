import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.nn.strict_json import NotStrict, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value):
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False, indent=1)) == value


@given(st.text(alphabet='{}[]",:0123456789eE+-.truefalsn\\u \n', max_size=40))
def test_nothing_that_json_refuses(text):
    try:
        found = parse(text)
    except NotStrict:
        return
    assert found == json.loads(text)


@pytest.mark.parametrize("number", [1 / 255, 0.1, 5e-324, -0.0, 1.7976931348623157e308, 1e22])
def test_numbers_come_back_exactly(number):
    found = parse(json.dumps(number))
    assert found == number
    assert math.copysign(1, found) == math.copysign(1, number)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON: expecting value at character 1"),
        ("{", "no JSON: expecting property name enclosed in double quotes at character 2"),
        ("[1,]", "no JSON: "),
        ("1 2", "no JSON: extra data at character 3"),
        ("'a'", "no JSON: expecting value at character 1"),
        ('"a\nb"', "no JSON: invalid control character at at character 3"),
        ("\ufeff{}", "no JSON: unexpected utf-8 bom"),
        ('{"a":1,"a":1}', "the key 'a' stands twice in one object"),
        ('[{"b":{"x":1,"y":2,"x":1}}]', "the key 'x' stands twice in one object"),
        ('{"\\u001b":1,"\\u001b":1}', r"the key '\\x1b' stands twice"),
        ('{"a":1,"\\u0061":2}', "the key 'a' stands twice"),
        ("NaN", "NaN is no JSON number"),
        ("[Infinity]", "Infinity is no JSON number"),
        ("-Infinity", "-Infinity is no JSON number"),
        ("1e999", "the number 1e999 is too large"),
        ("-1e400", "the number -1e400 is too large"),
        ("9" * 21, "a number of 21 digits; at most 20 are read"),
        ("1" * 100_000, "a number of 100000 digits"),
        ("[" * 100_000, "JSON that is nested too deep"),
        ('{"a":' * 100_000, "JSON that is nested too deep"),
    ],
)
def test_refused(text, message):
    with pytest.raises(NotStrict, match=message):
        parse(text)


def test_finding_the_key_that_stands_twice_is_quick():
    keys = ",".join(f'"{n}":0' for n in range(100_000))
    begin = time.perf_counter()
    with pytest.raises(NotStrict, match="the key '99999' stands twice"):
        parse("{" + keys + ',"99999":1}')
    assert time.perf_counter() - begin < 5
