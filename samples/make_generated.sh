#!/bin/sh
# The pictures of README.md that networks made: digits, larger digits, digits without their middle.
#
#     sh samples/make_generated.sh OUT
#
# Trains three generators on MNIST, in OUT/conditional, OUT/superres and OUT/inpaint: ten minutes on
# two cores.
set -eu
out=${1:?give a folder for the results}
mkdir -p "$out"
for what in superres inpaint; do
    [ -e "$out/$what" ] || cnntool train mnist --condition $what -q -o "$out/$what" > "$out/$what.txt"
    cp "$out/$what/samples.png" "$out/$what.png"
done
model=$out/conditional
[ -e "$model" ] || cnntool train mnist --model conditional -q -o "$model" > "$model.txt"
cp "$model/samples.gif" "$out/learning.gif"
cnntool generate "$model" --seeds 0-11 -q -f -o "$out/digits.png"
cnntool generate "$model" --class 3 --class 8 --interpolate --seeds 0-3 -q -f -o "$out/morph.gif"
