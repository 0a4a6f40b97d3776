#!/bin/sh
# The picture of README.md that shows masks: a network that learned to find shapes.
#
#     sh samples/make_masks.sh OUT
#
# Makes the data set in OUT/shapes and trains a network in OUT/unet: five minutes on two cores.
set -eu
out=${1:?give a folder for the results}
mkdir -p "$out"
[ -e "$out/shapes" ] || cnntool datasets make shapes "$out/shapes" --count 2000 -q > "$out/shapes.txt"
[ -e "$out/unet" ] || cnntool train "$out/shapes" --augment "hflip | vflip | hue 0.5 | contrast 0.3" -q -o "$out/unet" > "$out/unet.txt"
cp "$out/unet/samples.png" "$out/masks.png"
