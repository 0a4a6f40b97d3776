"""Names: quoting against ls and bash, nothing raw on a terminal, natural order."""

import os
import shutil
import subprocess
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.files import complaint, natural_key, one_line, quote, terminal_safe

# bytes of a name: anything but NUL and /
names = st.binary(min_size=1, max_size=40).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"").replace(b"/", b"") or b"x")
)
# characters that ls and we agree on: ASCII, some letters, lone bytes
common_names = st.text(
    st.one_of(
        st.characters(min_codepoint=1, max_codepoint=127, exclude_characters="/"),
        st.sampled_from("éß漢字Ω\udce9\udcff"),
    ),
    min_size=1,
    max_size=30,
).filter(
    # ls begins names with both an apostrophe and an escape with two needless quotes
    lambda name: name not in (".", "..") and ("'" not in name or name.isprintable())
)


@pytest.mark.parametrize(
    "name, quoted",
    [
        ("cat.png", "'cat.png'"),
        ("", "''"),
        ("a b.png", "'a b.png'"),
        ("it's.png", '"it\'s.png"'),
        ("it's $x", r"'it'\''s $x'"),
        ("two\nlines", r"'two'$'\n''lines'"),
        ("\x1b]0;title\x07.png", r"''$'\033'']0;title'$'\a''.png'"),
        ("caf\udce9.png", r"'caf'$'\351''.png'"),
        ("café.png", "'café.png'"),
        ("gnp\u202egnp.exe", r"'gnp'$'\342\200\256''gnp.exe'"),
        ("a'\n", r"'a'\'''$'\n'"),
        ("-rf", "'-rf'"),
    ],
)
def test_quote(name, quoted):
    assert quote(name) == quoted


@given(st.lists(names, min_size=1, max_size=20))
@settings(deadline=None, max_examples=25)
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_quote_is_read_back_by_bash(many):
    script = "".join(f"printf '%s\\0' {quote(name, limit=1000)}\n" for name in many)
    run = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True)
    assert run.stdout.split(b"\0")[:-1] == [os.fsencode(name) for name in many]


@given(st.sets(common_names, min_size=1, max_size=20))
@settings(deadline=None, max_examples=15)
def test_quote_is_what_ls_prints(many):
    ls = shutil.which("ls")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    environment.pop("QUOTING_STYLE", None)
    # names that do not exist stand in ls's complaints, quoted; ours is in the same words
    command = [ls, "--quoting-style=shell-escape-always", "-U", "-d", "--"]
    probe = subprocess.run([*command, "."], capture_output=True, env=environment)
    if probe.stdout != b"'.'\n":
        pytest.skip("ls here has no --quoting-style=shell-escape-always")
    with tempfile.TemporaryDirectory() as folder:
        for name in many:
            open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb").close()
        arguments = [os.fsencode(name) for name in many]
        run = subprocess.run(
            [*command, *arguments], cwd=folder, capture_output=True, env=environment
        )
    assert run.stdout.decode().splitlines() == [quote(name, limit=1000) for name in many]


@given(st.text(max_size=60) | names, st.integers(40, 120))
@settings(deadline=None, max_examples=200)
def test_quoted_names_are_safe_and_short(name, limit):
    quoted = quote(name, limit)
    assert quoted.isprintable()
    assert len(quoted) <= limit


def test_long_names_keep_both_ends():
    name = "holiday-" + "x" * 300 + "-0042.png"
    assert quote(name).startswith("'holiday-")
    assert quote(name).endswith("-0042.png'")
    assert "…" in quote(name)
    # 255 undecodable bytes: four characters each
    assert len(quote("\udcff" * 255)) <= 100


@given(st.text(max_size=500), st.integers(20, 300))
@settings(deadline=None, max_examples=200)
def test_one_line_is_safe_and_short(text, limit):
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


def test_complaint():
    assert complaint("a.png", "truncated") == "'a.png': truncated"
    assert complaint("-", "truncated") == "standard input: truncated"
    # a reason that brings its path does not get it twice
    assert complaint("a.png", "'a.png': truncated") == "'a.png': truncated"
    assert complaint("-", "standard input: truncated") == "standard input: truncated"
    long = complaint("n" * 4000, "r" * 4000)
    assert len("cnntool: " + long) <= 300


def test_terminal_safe_leaves_harmless_names_alone():
    assert terminal_safe("my photo é漢.png") == "my photo é漢.png"
    assert terminal_safe("a\x1b[2Jb") == r"'a'$'\033''[2Jb'"
    assert len(terminal_safe("\n" * 200)) > 200  # data is never shortened


def test_natural_order():
    mixed = ["img10.png", "img2.png", "IMG1.png", "img02.png", "img.png", "a", "B", "c9", "c10"]
    assert sorted(mixed, key=natural_key) == [
        "a", "B", "c9", "c10", "img.png", "IMG1.png", "img02.png", "img2.png", "img10.png",
    ]  # fmt: skip
    # superscripts and other digits are no numbers to int, and must not stop a sort
    assert sorted(["x²", "x1", "x٣", "x" + "9" * 5000], key=natural_key)[0] == "x1"


@given(st.lists(st.text(st.sampled_from("ab0123456789.-"), max_size=12), unique=True))
@settings(deadline=None, max_examples=200)
def test_natural_order_counts_like_tuples(many):
    def slow_key(name):
        parts, digits = [], ""
        for character in name + "\0":
            if character.isdigit():
                digits += character
                continue
            if digits:
                # a number stands where the digit 0 stands among characters
                parts.append(("0", int(digits)))
                digits = ""
            parts.append((character, 0))
        return parts

    ours = sorted(many, key=natural_key)
    keys = [slow_key(name) for name in ours]
    assert keys == sorted(keys)


def test_natural_order_is_total():
    same = ["a1", "A1", "a01", "A001"]
    assert sorted(same, key=natural_key) == sorted(reversed(same), key=natural_key)
