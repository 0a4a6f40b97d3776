"""The specification language: a network as text, and back.

A network is written like a shell pipeline::

    conv 6 5 pad=2 | relu | maxpool 2 | flatten | dense 10

Layers stand one after another with ``|`` or new lines between them. A layer is a word, then values
by their place, then ``key=value``. ``( … )*3`` repeats a group; ``residual``, ``concat``, ``skip``
and ``pooled`` put chains side by side or inside one another. ``#`` begins a comment. The words are
those of :data:`cnntool.nn.layer_words.LAYERS`; torch's and Keras's names for them are understood.
Nothing in a text is ever executed, and every number is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnntool.nn.facts import Shape
from cnntool.nn.nodes import Chain, check_size
from cnntool.nn.spec_parser import Parser
from cnntool.nn.spec_text import format_chain


def parse(text: str) -> Chain:
    """The tree of a specification.

    Args:
        text: The specification, at most a million characters.

    Raises:
        SpecError: It cannot be read; the message names the place, what was found and what would
            fit.

    Example:
        >>> [node.word for node in parse("conv 6 5 pad=2 | relu | maxpool 2").items]
        ['conv', 'relu', 'maxpool']
        >>> parse("conv 6 5 | drpout")
        Traceback (most recent call last):
        ...
        cnntool.errors.SpecError: unknown layer 'drpout' at column 12; did you mean 'dropout'?
    """
    chain = Parser(text).network()
    check_size(chain)
    return chain


def format_spec(chain: Chain) -> str:
    """The text of a tree, in one line and one spelling; ``parse`` gives the tree back.

    Example:
        >>> format_spec(parse("Conv2d 6 5 bias=yes|( ReLU )*2 # comment"))
        'conv 6 5 | (relu)*2'
    """
    return format_chain(chain)


@dataclass(frozen=True, slots=True)
class Spec:
    """A network with what is known about its use.

    Attributes:
        text: The specification as it was written.
        chain: Its tree.
        name: Of a built-in network, else empty.
        input: Shape of the input that it is made for, if known.
        classes: How many classes it tells apart, if known.
    """

    text: str
    chain: Chain
    name: str = ""
    input: Shape | None = None
    classes: int | None = None

    @classmethod
    def of(cls, text: str, input: Shape | None = None) -> Spec:
        """From text.

        Raises:
            SpecError: It cannot be read.
        """
        return cls(text, parse(text), input=input)
