"""From the text of a specification to its tree, by recursive descent.

Grammar::

    chain    = item { separator item }            separator: '|', or a new line before an item
    item     = layer | group | combined [ '*' N ]
    group    = '(' chain ')' [ '*' N ]
    combined = 'residual' '(' chain [ ',' chain ] ')' | 'concat' '(' chain ',' chain … ')'
             | 'skip' '(' chain ')' | 'pooled' K '(' chain ')'
    layer    = word { value } { key '=' value }
"""

from __future__ import annotations

import difflib

from cnntool.errors import SpecError
from cnntool.grammar import BadValue, Entry, Place, Token, WordCursor, shown, taker
from cnntool.nn.layer_values import normal_layer
from cnntool.nn.layer_words import ALIASES, COMBINATORS, LAYERS, LayerWord, canonical
from cnntool.nn.nodes import (
    MAX_DEPTH,
    MAX_LAYERS,
    Chain,
    Concat,
    Layer,
    Node,
    Pooled,
    Repeat,
    Residual,
    Skip,
    Value,
)
from cnntool.nn.tokens import tokens
from cnntool.nn.values import Pair, Whole

EXAMPLE = "conv 8 3 | relu | maxpool 2"
_TIMES = Whole(1, MAX_LAYERS)


def error(message: str, place: Place) -> SpecError:
    """An error that knows its place."""
    return SpecError(message, line=place.line, column=place.column)


class Parser(WordCursor[Value]):
    """Reads one text; :meth:`network` gives the tree.

    Args:
        text: The specification.
    """

    def __init__(self, text: str) -> None:
        super().__init__(tokens(text))

    def network(self) -> Chain:
        """The whole text.

        Raises:
            SpecError: It is none; the message says where, what was found and what would fit.
        """
        if self._token.kind == "end":
            raise error(
                "the specification is empty; write layers with | between them, such as "
                f"'{EXAMPLE}'",
                self._token.place,
            )
        items = self._items(0)
        if self._token.kind != "end":
            raise self._stray()
        return Chain(items)

    def _chain(self, depth: int, opened: Token) -> Chain:
        if depth > MAX_DEPTH:
            raise error(
                f"parentheses are nested more than {MAX_DEPTH} deep at {opened.place}; "
                "nest them less",
                opened.place,
            )
        return Chain(self._items(depth))

    def _items(self, depth: int) -> tuple[Node, ...]:
        items = list(self._item(depth))
        while True:
            if self._at("|"):
                self._take()
            elif not (self._token.fresh and self._begins_item()):
                return tuple(items)
            items += self._item(depth)

    def _begins_item(self) -> bool:
        return self._at("(") or (self._token.kind == "word" and not self._follows_key())

    def _item(self, depth: int) -> tuple[Node, ...]:
        """One item; a group that is not repeated gives its nodes."""
        start = self._token
        if self._at("("):
            body = self._parenthesised(depth)
            times = self._times()
            return body.items if times == 1 else (Repeat(body, times, start.place),)
        if start.kind != "word" or self._follows_key():
            raise self._no_item()
        self._take()
        word = canonical(start.text)
        if word not in COMBINATORS:
            return (self._layer(start, word),)
        node = self._combined(start, word, depth)
        times = self._times()
        return (node,) if times == 1 else (Repeat(Chain((node,)), times, start.place),)

    def _no_item(self) -> SpecError:
        token = self._token
        if token.kind not in ("mark", "end"):
            return error(
                f"expected a layer at {token.place}, found {token}; write a word first, such as "
                f"'{EXAMPLE}'",
                token.place,
            )
        before = self._tokens[self._next - 1] if self._next else token
        hint = "write one such as 'relu'"
        if "|" in (before.text, token.text):
            hint += ", or leave the | out"
        elif "," in (before.text, token.text):
            hint += "; skip(…) passes its input on"
        if token.kind == "end":
            where = f"after {before} at {before.place}, where the text ends"
        else:
            where = f"before {token} at {token.place}"
        return error(f"a layer is missing {where}; {hint}", token.place)

    def _parenthesised(self, depth: int) -> Chain:
        opened = self._take()
        body = self._chain(depth + 1, opened)
        self._close(opened)
        return body

    def _close(self, opened: Token) -> None:
        if self._at(")"):
            self._take()
        elif self._token.kind == "end":
            raise error(f"the ( at {opened.place} is never closed; add )", opened.place)
        else:
            raise self._stray()

    def _times(self) -> int:
        if not self._at("*"):
            return 1
        self._take()
        token = self._take() if self._token.kind == "value" else self._token
        try:
            return _TIMES.read(token.text)
        except BadValue:
            raise error(
                f"expected how often to repeat after * at {token.place}, found {token}; "
                f"write {_TIMES.form}",
                token.place,
            ) from None

    def _combined(self, start: Token, word: str, depth: int) -> Node:
        usage = f"write {COMBINATORS[word]}"
        kernel = self._pooling_kernel(start, usage) if word == "pooled" else (1, 1)
        if not self._at("("):
            raise error(
                f"'{word}' at {start.place} needs ( and layers, found {self._token}; {usage}",
                self._token.place,
            )
        opened = self._take()
        parts = [self._chain(depth + 1, opened)]
        while self._at(","):
            self._take()
            parts.append(self._chain(depth + 1, opened))
        self._close(opened)
        fits = {"residual": len(parts) <= 2, "concat": len(parts) >= 2}.get(word, len(parts) == 1)
        if not fits:
            count = f"{len(parts)} branch" + ("es" if len(parts) > 1 else "")
            raise error(f"'{word}' at {start.place} has {count}; {usage}", start.place)
        if word == "residual":
            return Residual(parts[0], parts[1] if len(parts) > 1 else None, start.place)
        if word == "concat":
            return Concat(tuple(parts), start.place)
        if word == "skip":
            return Skip(parts[0], start.place)
        return Pooled(kernel, parts[0], start.place)

    def _pooling_kernel(self, start: Token, usage: str) -> tuple[int, int]:
        token = self._take() if self._token.kind == "value" else self._token
        try:
            return Pair().read(token.text)
        except BadValue:
            raise error(
                f"'pooled' at {start.place} needs K, the window's size ({Pair().form}), found "
                f"{token}; {usage}",
                token.place,
            ) from None

    def _layer(self, start: Token, word: str) -> Layer:
        entry = LAYERS.get(word)
        if entry is None:
            raise self._unknown(start)
        values: dict[str, Value] = {}
        while True:
            token = self._token
            if self._follows_key():
                self._keyed(entry, values, start)
            elif token.kind == "value":
                self._placed(entry, values, start)
            elif token.kind == "word" and not token.fresh:
                raise self._bare_word(entry, start)
            elif (
                token.kind == "mark"
                and token.text in "(*="
                and not (token.fresh and token.text == "(")
            ):
                raise self._odd_mark(start)
            else:
                break
        for setting in entry.settings:
            if setting.required and setting.name not in values:
                raise error(
                    f"'{start.text}' at {start.place} needs {setting.label}, {setting.summary}; "
                    f"write {entry.usage}"
                    + (f", such as '{entry.example}'" if entry.example else ""),
                    start.place,
                )
        try:
            return normal_layer(entry, values, start.place)
        except SpecError as problem:
            text = problem.message.removeprefix(f"{entry.word}: ")
            raise error(f"'{start.text}' at {start.place}: {text}", start.place) from None

    def _error(self, message: str, place: Place) -> SpecError:
        return error(message, place)

    def _keys(self, entry: Entry[Value]) -> str:
        names = [setting.name for setting in entry.settings if not setting.label]
        return f" and {', '.join(names)}=…" if names else ""

    def _bare_word(self, entry: LayerWord, start: Token) -> SpecError:
        token = self._token
        word = canonical(token.text)
        if word in LAYERS or word in COMBINATORS:
            return error(
                f"'{start.text}' at {start.place} is followed by {token} at {token.place}; put | "
                "between layers",
                token.place,
            )
        setting = taker(entry, token.text)
        hint = (
            f"write {setting.name}={shown(token.text)}"
            if setting
            else (f"write | between layers{self._keys(entry) or f', {entry.usage} takes no keys'}")
        )
        return error(
            f"unexpected word {token} at {token.place} behind '{start.text}'; {hint}", token.place
        )

    def _odd_mark(self, start: Token) -> SpecError:
        token = self._token
        hint = {
            "(": "a layer takes no parentheses; write | before a group, or its values after blanks",
            "*": f"only a group is repeated; write ({start.text} …)*N",
        }.get(token.text, "write key=value")
        return error(
            f"unexpected {token} at {token.place} behind '{start.text}'; {hint}", token.place
        )

    def _stray(self) -> SpecError:
        token = self._token
        if token.kind == "mark" and token.text == ")":
            return error(f"the ) at {token.place} closes nothing; leave it out", token.place)
        hint = {
            ",": "branches stand in residual(…, …) or concat(…, …); put | between layers",
            "*": "only a group is repeated, once: (a | b)*N",
        }.get(token.text, "put | between layers")
        return error(f"unexpected {token} at {token.place}; {hint}", token.place)

    def _unknown(self, start: Token) -> SpecError:
        known = [*LAYERS, *COMBINATORS, *ALIASES]
        near = difflib.get_close_matches(canonical(start.text), known, n=3, cutoff=0.6)
        words = dict.fromkeys(canonical(word) for word in near)
        hint = (
            "did you mean " + " or ".join(f"'{word}'" for word in words) + "?"
            if words
            else "'cnntool shape --help' lists them"
        )
        return SpecError(
            f"unknown layer '{shown(start.text)}' at {start.place}; {hint}",
            line=start.place.line,
            column=start.place.column,
            near=list(words),
        )
