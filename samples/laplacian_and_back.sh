#!/bin/sh
# A photo taken apart into a Laplacian pyramid and put together again: the same picture to the byte.
#
#     sh samples/laplacian_and_back.sh OUT
set -eu
out=${1:?"give a folder for the results"}
here=$(cd "$(dirname "$0")" && pwd)

cnntool pyramid "$here/chelsea.jpg" --kind laplacian --levels 5 -o "$out/levels/" --force
cnntool pyramid "$out"/levels/chelsea.l?.npy --collapse -o "$out/back.png" --force

# the photo itself as PNG, to compare with
cnntool convolve "$here/chelsea.jpg" --kernel identity -o "$out/photo.png" --force
cmp "$out/photo.png" "$out/back.png"
echo "the same picture"
