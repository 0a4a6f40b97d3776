#!/bin/sh
# Three commands in a pipe: blur, find edges, halve. Between them go floats (.npy), which nothing
# rounds or clips on the way; only the last command writes 8 bits.
#
#     sh samples/three_in_a_pipe.sh OUT
set -eu
out=${1:?"give a folder for the results"}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"

cnntool convolve "$here/coffee.jpg" --kernel gaussian:sigma=1.5 --output - --format npy |
  cnntool edges - --gray --output - |
  cnntool pool - --kind max --size 2 --output "$out/outlines.png" --force
