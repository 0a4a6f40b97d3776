# ruff: noqa: E501 - a table of texts, each beside what is said of it
"""What is said of texts that are no specification: the place, what was found, what would fit."""

import re

import pytest

from cnntool.errors import SpecError
from cnntool.nn import parse

SIDES = r"N, HxW or T:R:B:L \(top, right, bottom, left\) of 0 to 10000"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the specification is empty; write layers with | between them, such as 'conv 8 3"),
        (" \n# nothing\n", "the specification is empty"),
        # layers
        ("cnv 3 3", "unknown layer 'cnv' at column 1; did you mean 'conv' or 'deconv'?"),
        ("relu | maxpol 2", "unknown layer 'maxpol' at column 8; did you mean 'maxpool'"),
        ("relu\nresidul(relu)", "unknown layer 'residul' at line 2, column 1; did you mean 'residual'?"),
        ("xyzzy", "unknown layer 'xyzzy' at column 1; 'cnntool shape --help' lists them"),
        ("a" * 99, "unknown layer 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…' at column 1"),
        ("8 3", "expected a layer at column 1, found '8'; write a word first, such as 'conv 8 3"),
        ("relu | pad=1", "expected a layer at column 8, found 'pad'; write a word first"),
        # values
        ("conv", "'conv' at column 1 needs OUT, how many maps or numbers come out; write conv OUT K [S], such as 'conv 16 5 pad=2'"),
        ("relu | Conv2d 8", "'Conv2d' at column 8 needs K, rows and columns of the window; write conv OUT K [S]"),
        ("lrn", "'lrn' at column 1 needs N, maps that count; write lrn N, such as 'lrn 5'"),
        ("conv 8 0", "K of 'conv' is '0' at column 8; it must be N or HxW, 1 to 10000"),
        ("conv 8 3x3x3", "K of 'conv' is '3x3x3' at column 8; it must be N or HxW, 1 to 10000"),
        ("conv 8 3.5", "K of 'conv' is '3.5' at column 8"),
        ("conv 8 10001", "K of 'conv' is '10001' at column 8"),
        ("conv 1000001 3", "OUT of 'conv' is '1000001' at column 6; it must be a whole number from 1 to 1000000"),
        ("conv " + "9" * 5000 + " 3", "OUT of 'conv' is '9999"),
        ("conv ٣ 3", "OUT of 'conv' is '٣' at column 6"),
        ("conv 8 3 pad=-1", "pad of 'conv' is '-1' at column 14; it must be " + SIDES.replace("\\", "") + ", or same"),
        ("conv 8 3 pad=1:2:3", "pad of 'conv' is '1:2:3' at column 14"),
        ("pad same", "unexpected word 'same' at column 5 behind 'pad'; write | between layers and padmode=…"),
        ("conv 8 3 bias=true", "bias of 'conv' is 'true' at column 15; it must be yes or no"),
        ("conv 8 3 padmode=wrap", "padmode of 'conv' is 'wrap' at column 18; it must be zeros, reflect, replicate, circular or max"),
        ("upsample 2 mode=cubic", "mode of 'upsample' is 'cubic' at column 17; it must be nearest or bilinear"),
        ("dropout 1", "P of 'dropout' is '1' at column 9; it must be a number from 0 and below 1"),
        ("dropout 1e999", "P of 'dropout' is '1e999' at column 9"),
        ("dropout nan", "unexpected word 'nan' at column 9 behind 'dropout'"),
        ("batchnorm eps=0", "eps of 'batchnorm' is '0' at column 15; it must be a number above 0 and to 1"),
        ("reshape 3x3", "CxHxW of 'reshape' is '3x3' at column 9; it must be CxHxW such as 16x5x5"),
        ("conv 8 3 2 1", "'conv' at column 1 has one value too many, '1' at column 12; it takes conv OUT K [S] and pad, padmode, dilation, groups, bias, depth, dstride=…"),
        ("relu 3", "'relu' at column 1 has one value too many, '3' at column 6; it takes no numbers"),
        # keys
        ("conv 8 3 padding=1", "'conv' has no key 'padding' at column 10; did you mean 'pad'?"),
        ("Conv2d 8 3 strides=2", "'Conv2d' has no key 'strides' at column 12; did you mean 'stride'?"),
        ("dense 10 xyz=1", "'dense' has no key 'xyz' at column 10; it takes out, bias"),
        ("relu pad=1", "'relu' has no key 'pad' at column 6; it takes no keys"),
        ("conv 8 3 pad=1 pad=2", "pad of 'conv' is given twice, again at column 16; leave one out"),
        ("conv 8 3 2 stride=2", "stride of 'conv' is given twice, again at column 12; leave one out"),
        ("conv 8 3 bias=", "a value is missing after bias= at column 10; it must be yes or no"),
        ("conv 8 3 bias= groups=2", "a value is missing after bias= at column 10"),
        ("conv 8 3 bias==no", "a value is missing after bias= at column 10"),
        # settings taken together
        ("conv 8 3 groups=3", "'conv' at column 1: groups=3 does not divide its 8 filters; take a multiple of 3"),
        ("deconv 8 3 groups=3", "'deconv' at column 1: groups=3 does not divide its 8 filters"),
        ("conv 8 3 groups=2 depth=2", "'conv' at column 1: depth and groups exclude each other; leave one out"),
        ("conv 8 3 dstride=2", "'conv' at column 1: dstride needs depth=N, the maps that a window spans"),
        ("maxpool 3 dstride=2", "'maxpool' at column 1: dstride needs depth=N, the maps that a window spans"),
        ("deconv 8 3 pad=same outpad=1", "'deconv' at column 1: pad=same finds outpad itself; leave outpad out"),
        # between layers
        ("conv 8 3 relu", "'conv' at column 1 is followed by 'relu' at column 10; put | between layers"),
        ("relu residual(relu)", "'relu' at column 1 is followed by 'residual' at column 6; put | between"),
        ("conv 8 3 same", "unexpected word 'same' at column 10 behind 'conv'; write pad=same"),
        ("upsample 2 bilinear", "unexpected word 'bilinear' at column 12 behind 'upsample'; write mode=bilinear"),
        ("relu xyz", "unexpected word 'xyz' at column 6 behind 'relu'; write | between layers, relu takes no keys"),
        ("conv(8, 3)", "unexpected '(' at column 5 behind 'conv'; a layer takes no parentheses; write | before a group"),
        ("conv 8 3*2", "unexpected '*' at column 9 behind 'conv'; only a group is repeated; write (conv …)*N"),
        ("conv 8 3 = 2", "unexpected '=' at column 10 behind 'conv'; write key=value"),
        ("relu | | relu", "a layer is missing before '|' at column 8; write one such as 'relu', or leave the | out"),
        ("| relu", "a layer is missing before '|' at column 1; write one such as 'relu', or leave the | out"),
        ("relu |\n", "a layer is missing after '|' at column 6, where the text ends; write one such as 'relu', or leave the | out"),
        ("relu; relu", "unexpected ';' at column 5; put | or a new line between layers"),
        ("[relu]", "unexpected '[' at column 1; put groups into ( )"),
        ("{relu}", "unexpected '{' at column 1; put groups into ( )"),
        ("'relu'", "unexpected ''' at column 1; write names and numbers without quotes"),
        ('"relu"', "unexpected '\"' at column 1; write names and numbers without quotes"),
        ("relu/relu", "unexpected '/' at column 5; a specification has words, numbers and | ( ) , * = #"),
        ("relu \x1b[31m", "unexpected '\\x1b' at column 6"),
        # groups
        ("(relu", "the ( at column 1 is never closed; add )"),
        ("relu)", "the ) at column 5 closes nothing; leave it out"),
        ("()", "a layer is missing before ')' at column 2; write one such as 'relu'"),
        ("(relu)*0", "expected how often to repeat after * at column 8, found '0'; write a whole number from 1 to 10000"),
        ("(relu)*x", "expected how often to repeat after * at column 8, found 'x'"),
        ("(relu)*", "expected how often to repeat after * at column 8, found the end"),
        ("(relu)*2*2", "unexpected '*' at column 9; only a group is repeated, once: (a | b)*N"),
        ("(relu) tanh", "unexpected 'tanh' at column 8; put | between layers"),
        ("relu, relu", "unexpected ',' at column 5; branches stand in residual(…, …) or concat(…, …); put | between layers"),
        ("(relu, relu)", "unexpected ',' at column 6; branches stand in"),
        ("((relu)*5000)*3", "the network has more than 10000 layers; repeat less often"),
        ("(" * 60 + "(relu)*10000" + ")*10000" * 60, "the network has more than 10000 layers"),
        ("(" * 65 + "relu" + ")" * 65, "parentheses are nested more than 64 deep at column 65; nest them less"),
        ("skip(" * 5000, "parentheses are nested more than 64 deep"),
        # combinators
        ("concat(relu)", "'concat' at column 1 has 1 branch; write concat(a, b | c)"),
        ("residual(relu, relu, relu)", "'residual' at column 1 has 3 branches; write residual(main) or residual(main, shortcut)"),
        ("skip(relu, tanh)", "'skip' at column 1 has 2 branches; write skip(a | b)"),
        ("pooled 2 (relu, tanh)", "'pooled' at column 1 has 2 branches; write pooled K (a | b)"),
        ("pooled (relu)", "'pooled' at column 1 needs K, the window's size (N or HxW, 1 to 10000), found '('; write pooled K (a | b)"),
        ("pooled 0 (relu)", "'pooled' at column 1 needs K, the window's size (N or HxW, 1 to 10000), found '0'"),
        ("pooled 2 relu", "'pooled' at column 1 needs ( and layers, found 'relu'; write pooled K (a | b)"),
        ("residual", "'residual' at column 1 needs ( and layers, found the end; write residual(main)"),
        ("concat(relu, )", "a layer is missing before ')' at column 14; write one such as 'relu'; skip(…) passes its input on"),
        ("residual(, relu)", "a layer is missing before ',' at column 10; write one such as 'relu'; skip(…) passes its input on"),
        ("residual(relu,", "a layer is missing after ',' at column 14, where the text ends; write one such as 'relu'; skip(…)"),
    ],
)  # fmt: skip
def test_message(text, message):
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        parse(text)
    assert len(str(caught.value)) <= 280
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
