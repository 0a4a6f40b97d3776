#!/bin/sh
# The pictures of README.md that show the inside of a network that tells digits.
#
#     sh samples/make_explanations.sh OUT [MODEL]
#
# Without MODEL a network is trained on MNIST first, in OUT/run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?give a folder for the results}
model=${2:-$out/run}
mkdir -p "$out"
[ -e "$model" ] || cnntool train mnist -q -o "$model" > "$out/train.txt"

seven=$here/explain/seven.png
cnntool explain activations "$model" "$seven" --layer 1.relu -q -f -o "$out/maps.png"
cnntool explain patches "$model" mnist --layer 3.conv --channels 5,6,13,22,30 -q -f -o "$out/patches.png"
cnntool explain maximize "$model" --class all -q -f -o "$out/digits.png"
cnntool explain gradcam "$model" "$seven" --quality 85 -q -f -o "$out/gradcam.jpg"
cnntool explain saliency "$model" "$seven" --method integrated -q -f -o "$out/integrated.png"
