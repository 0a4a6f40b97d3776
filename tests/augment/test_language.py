"""Texts become steps and back; what is wrong is told with its place and what would fit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.augment import format_steps, parse, step
from cnntool.augment.amounts import Amount, Range
from cnntool.augment.language import MAX_TEXT
from cnntool.augment.words import ALIASES, WORDS, canonical
from cnntool.errors import OptionError


def test_words_settings_and_defaults():
    flip, turn, light = parse("hflip p=0.5 | rotate 15 | brightness 0.2")
    assert (flip.word, flip.real("p")) == ("hflip", 0.5)
    assert turn.amount("amount") == Amount(-15, 15)
    assert (turn.real("p"), turn.choice("border"), turn.real("fill")) == (1, "constant", 0)
    assert light.amount("amount") == Amount(0.8, 1.2)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("rotate 15", -15, 15),
        ("rotate -5:15", -5, 15),
        ("rotate 30:30", 30, 30),
        ("scale 0.1", 0.9, 1.1),
        ("scale 0.5:2", 0.5, 2),
        ("brightness 0", 1, 1),
        ("crop 0.8", 0.8, 1),
        ("crop 0.5:0.6", 0.5, 0.6),
        ("blur 1.5", 0, 1.5),
        ("noise .5:1e1", 0.5, 10),
        ("cutout 0.25", 0.25, 0.25),
        ("hue 0.1", -0.1, 0.1),
    ],
)
def test_what_a_number_stands_for(text, low, high):
    amount = parse(text)[0].amount("amount")
    assert (amount.low, amount.high, amount.pixels) == (low, high, False)


def test_lengths_in_pixels():
    assert parse("shift 2px")[0].amount("down") == Amount(-2, 2, True)
    assert parse("shift -1:3PX 0.5")[0].amount("across") == Amount(-0.5, 0.5)
    assert parse("shift -1:3px")[0].amount("across") == Amount(-1, 3, True)
    assert parse("elastic 1.5px 4px")[0].amount("grid") == Amount(4, 4, True)
    assert parse("cutout 7px")[0].amount("amount") == Amount(7, 7, True)


def test_whole_numbers_are_pixels_and_shares_have_a_point():
    assert parse("shift 2") == parse("shift 2px")
    assert parse("shift -1:2") == parse("shift -1:2px")
    assert parse("elastic 2 8") == parse("elastic 2px 8px")
    assert parse("shift 1")[0].amount("down") == Amount(-1, 1, True)
    assert parse("shift 1.0")[0].amount("down") == Amount(-1, 1)
    assert parse("shift 0.5:1")[0].amount("down") == Amount(0.5, 1)
    assert parse("shift 0") == parse("shift 0.0")
    for text in (
        "shift 1.0",
        "shift -1:0.0",
        "shift 0.5:1",
        "shift -1:2px",
        "shift 0",
        "cutout 1.0",
    ):
        assert format_steps(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("hflip", "hflip p=0.5"),
        ("HorizontalFlip", "hflip p=0.5"),
        ("hflip 0.3", "hflip p=0.3"),
        ("random_rotation -15:15 p=1", "rotate 15"),
        ("shift 0.1 across=0.1", "shift 0.1"),
        ("shift 0.1 0.20", "shift 0.1 0.2"),
        ("shift -2:2px", "shift 2px"),
        ("scale 0.9:1.1", "scale 0.1"),
        ("scale 0.9:1.2", "scale 0.9:1.2"),
        ("shear 10 down=5", "shear 10 down=5"),
        ("crop 0.8:1 ratio=1", "crop 0.8"),
        ("elastic 0.03 grid=0.2", "elastic 0.03"),
        ("rotate 5 border=Mirror", "rotate 5 border=reflect"),
        ("rotate 5 fill=0", "rotate 5 fill=0"),
        ("rotate 5 interpolation=linear", "rotate 5 interpolation=bilinear"),
        ("hflip\nrotate 5 # a comment\n\n| blur 0:2", "hflip p=0.5 | rotate 5 | blur 2"),
        ("noise 10 p=.25", "noise 10 p=0.25"),
        ("cutout 0.3 fill=128 count=2", "cutout 0.3 count=2 fill=128"),
    ],
)
def test_one_spelling_for_each_meaning(text, short):
    assert format_steps(parse(text)) == short
    assert parse(short) == parse(text)
    assert format_steps(parse(short)) == short


def test_every_word_has_an_example_and_aliases_are_its_own():
    for word, entry in WORDS.items():
        assert parse(entry.example)[0].word == word
        assert entry.usage.startswith(word)
        for setting in entry.settings:
            assert setting.summary and setting.kind.form
    assert not set(ALIASES) & set(WORDS)
    assert sum(len(entry.aliases) for entry in WORDS.values()) == len(ALIASES)
    assert canonical("Gaussian_Blur") == "blur"


def number(low, high, digits=4):
    return st.integers(int(low * 10**digits), int(high * 10**digits)).map(lambda n: n / 10**digits)


def kinds(kind):
    """Texts that a kind of setting reads."""
    if isinstance(kind, Range):
        if kind.fixed:
            return number(kind.low, kind.high).map(str)
        both = st.tuples(number(kind.low, kind.high), number(kind.low, kind.high))
        pairs = both.map(sorted).map(lambda ends: f"{ends[0]}:{ends[1]}")
        floor, ceiling = kind._single_bounds()
        return pairs | number(floor, ceiling).map(str)
    if hasattr(kind, "words"):
        return st.sampled_from(kind.words)
    if kind.high == 100:
        return st.integers(kind.low, kind.high).map(str)
    return number(kind.low, kind.high).map(str)


@st.composite
def texts(draw, words=tuple(WORDS)):
    steps = []
    for word in draw(st.lists(st.sampled_from(words), min_size=1, max_size=5)):
        parts = [word]
        for setting in WORDS[word].settings:
            if setting.name in ("border", "fill", "interpolation"):
                continue  # these are common to all words
            if setting.required or draw(st.booleans()):
                parts.append(f"{setting.name}={draw(kinds(setting.kind))}")
        steps.append(" ".join(parts))
    return " | ".join(steps)


@settings(max_examples=60)
@given(texts())
def test_texts_and_steps_are_the_same(text):
    steps = parse(text)
    short = format_steps(steps)
    assert parse(short) == steps
    assert format_steps(parse(short)) == short


@settings(max_examples=150)
@given(st.text(alphabet="hflip rotate shift 0123456789.:=-|#px\n,()%", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        steps = parse(text)
    except OptionError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert parse(format_steps(steps)) == steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty; write changes with | between them, such as 'hflip p=0.5"),
        ("  # nothing\n", "the text is empty"),
        ("|", "a word is missing before '|' at column 1; write one such as 'hflip'"),
        ("hflip | | vflip", "a word is missing before '|' at column 9"),
        ("hflip |", "a word is missing after '|' at column 7, where the text ends"),
        ("p=0.5", "a word is missing before 'p' at column 1"),
        ("15 rotate", "expected a word at column 1, found '15'; write one first"),
        ("rotat 15", "unknown word 'rotat' at column 1; did you mean 'rotate'?"),
        ("hflip\nbrihgtness 1", "unknown word 'brihgtness' at line 2, column 1; did you mean "
         "'brightness'?"),
        ("gausblur 1", "unknown word 'gausblur' at column 1; did you mean 'blur'?"),
        ("xyz", "unknown word 'xyz' at column 1; there are hflip, vflip, rotate, shift"),
        ("rotate", "'rotate' at column 1 needs A, angle from -A to A; write rotate A, such as "
         "'rotate 15'"),
        ("shift | hflip", "'shift' at column 1 needs DOWN"),
        ("rotate 15 20", "'rotate' at column 1 has one value too many, '20' at column 11; it takes "
         "rotate A and p, border, fill, interpolation=…"),
        ("rotate 500", "A of 'rotate' is '500' at column 8; it must be a number from 0 to 360 "
         "degrees, or LOW:HIGH within -360 to 360"),
        ("rotate 5:1", "A of 'rotate' is '5:1'"),
        ("rotate 1:2:3", "A of 'rotate' is '1:2:3'"),
        ("rotate -5", "A of 'rotate' is '-5'"),
        ("rotate 5px", "A of 'rotate' is '5px'"),
        ("shift 0.5px", "DOWN of 'shift' is '0.5px' at column 7; it must be a share of the side "
         "from 0 to 1, or LOW:HIGH within -1 to 1, or whole pixels such as 2"),
        ("shift 1.5", "DOWN of 'shift' is '1.5'"),
        ("shift 2.0", "DOWN of 'shift' is '2.0'"),
        ("shift 20000px", "DOWN of 'shift' is '20000px'"),
        ("elastic 0.1 grid=0px", "grid of 'elastic' is '0px' at column 18; it must be a share "
         "of the side from 0.02 to 1, or pixels such as 2 or 1.5px"),
        ("elastic 0.1 0px", "GRID of 'elastic' is '0px'"),
        ("elastic 0.1 0.1:0.2", "GRID of 'elastic' is '0.1:0.2'"),
        ("brightness 2", "A of 'brightness' is '2' at column 12; it must be a number from 0 to 1, "
         "or LOW:HIGH within 0 to 10"),
        ("scale 0:1", "must be a number from 0 to 0.99, or LOW:HIGH within 0.01 to 100"),
        ("hue 0.6", "from 0 to 0.5 of a full turn, or LOW:HIGH within -0.5 to 0.5"),
        ("cutout 0.1 count=0", "count of 'cutout' is '0' at column 18; it must be a whole number "
         "from 1 to 100"),
        ("hflip p=2", "p of 'hflip' is '2' at column 9; it must be a number from 0 to 1"),
        ("hflip p=nan", "p of 'hflip' is 'nan'"),
        ("hflip prob=1", "'hflip' has no key 'prob' at column 7; it takes p"),
        ("rotate 5 boder=edge", "'rotate' has no key 'boder' at column 10; did you mean 'border'?"),
        ("rotate 5 border=foo", "border of 'rotate' is 'foo' at column 17; it must be constant, "
         "reflect, edge, symmetric or wrap"),
        ("rotate 5 reflect", "unexpected 'reflect' at column 10 behind 'rotate'; write "
         "border=reflect"),
        ("rotate 5 nearest", "write interpolation=nearest"),
        ("rotate fifteen", "unexpected 'fifteen' at column 8 behind 'rotate'; 'rotate' takes "
         "rotate A and p"),
        ("hflip vflip", "'hflip' at column 1 is followed by 'vflip' at column 7; put | between "
         "changes"),
        ("rotate 5, hflip", "unexpected ',' at column 9 behind 'rotate'; put | between changes"),
        ("rotate=5", "'rotate' at column 1 is followed by '='; write rotate A, such as 'rotate 1"),
        ("rotate 5 = 3", "unexpected '=' at column 10 behind 'rotate'; write key=value, such as p"),
        ("rotate 5 p=", "a value is missing after p= at column 10; it must be a number from 0 to"),
        ("rotate 5 p=.1 p=1", "p of 'rotate' is given twice, again at column 15; leave one out"),
        ("rotate 5; hflip", "unexpected ';' at column 9; put | or a new line between changes"),
        ("shift 10%", "unexpected '%' at column 9; write shares, 0.1 for 10 %"),
        ("'hflip'", "unexpected ''' at column 1; write words and numbers without quotes"),
        ("rotate ±5", "unexpected '±' at column 8; write 15 for -15 to 15"),
        ("scale 0.8 : 1.2", "unexpected ':' at column 11; write a range without blanks"),
        ("rotate (5)", "unexpected '(' at column 8; there are words, numbers and | = #"),
        ("hfl\x1bip", r"unexpected '\x1b' at column 4"),
        ("rotate 5 border=edge fill=3", "'rotate' at column 1: fill is the value of "
         "border=constant, border=edge has none; leave one out"),
        ("rotate 5 fill=1 | hflip | scale 0.1 fill=2", "'rotate' has fill=1, 'scale' at column 27 "
         "fill=2; the picture is read once after all moves, so give one of them"),
        ("rotate 5 border=wrap | scale 0.1 fill=2", "'rotate' has border=wrap, 'scale' at column "
         "24 fill=2"),
        ("shift 1px interpolation=nearest | rotate 5 interpolation=bilinear",
         "'shift' has interpolation=nearest, 'rotate' at column 35 interpolation=bilinear"),
        ("hflip |" * 101 + "hflip", "102 changes are too many; at most 100 are done"),
        ("#" * (MAX_TEXT + 1), "the changes take 10001 characters; at most 10000 are read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text, message):
    with pytest.raises(OptionError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_knows_its_place():
    with pytest.raises(OptionError) as caught:
        parse("hflip\n\n  rotate 15 | blurr 2")
    assert (caught.value.line, caught.value.column, caught.value.near) == (3, 15, ["blur"])


def test_same_settings_may_be_repeated():
    parse("rotate 5 border=edge | shift 0.1 border=edge | cutout 0.1 fill=3")
    parse("rotate 5 fill=9 | shift 0.1 border=constant")


def test_steps_from_values():
    assert step("rotate", amount=15) == parse("rotate 15")[0]
    assert step("scale", amount=(0.5, 2), p=0.5) == parse("scale 0.5:2 p=0.5")[0]
    assert step("shift", down=Amount(-2, 2, True)) == step("shift", down=2) == parse("shift 2")[0]
    assert step("fliplr") == parse("hflip")[0]
    with pytest.raises(OptionError, match="unknown change 'rotat'; did you mean 'rotate'"):
        step("rotat", amount=1)
    with pytest.raises(OptionError, match="rotate has no setting 'angle'; it takes amount, p, bor"):
        step("rotate", angle=1)
    with pytest.raises(OptionError, match="rotate: amount='x' does not fit; it must be a number"):
        step("rotate", amount="x")
    with pytest.raises(OptionError, match=r"rotate: amount=.* does not fit"):
        step("rotate", amount=Amount(float("nan"), 1))
    with pytest.raises(OptionError, match="rotate needs amount, angle from -A to A"):
        step("rotate")
    with pytest.raises(OptionError, match="'rotate': fill is the value of border=constant"):
        step("rotate", amount=1, border="edge", fill=3)


def test_settings_of_the_wrong_kind_are_bugs():
    turn = parse("rotate 15")[0]
    with pytest.raises(KeyError):
        turn["angle"]
    with pytest.raises(TypeError, match=r"p is 1\.0"):
        turn.amount("p")
    with pytest.raises(TypeError, match="amount is Amount"):
        turn.real("amount")
    with pytest.raises(TypeError, match="an amount has two ends"):
        Range("exactly", 0, 1).write(3)
