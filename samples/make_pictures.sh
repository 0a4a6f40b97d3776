#!/bin/sh
# The pictures of README.md, made by the tool itself.
#
#     sh samples/make_pictures.sh [OUT]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/pictures}
mkdir -p "$out"

small() { cnntool pool "$here/$1" --kind avg --size 2 --ceil -o - --format npy; }

small coffee.jpg | cnntool convolve - -k identity --quality 80 -q -f -o "$out/coffee.jpg"
small coffee.jpg | cnntool edges - --quality 80 -q -f -o "$out/edges.jpg"
small coffee.jpg | cnntool edges - --show hsv --quality 80 -q -f -o "$out/angles.jpg"
small coffee.jpg | cnntool edges - --operator canny --low 0.05 --high 0.15 -q -f -o "$out/canny.png"

small chelsea.jpg | cnntool convolve - \
  -k sobel-x -k sobel-y -k laplacian-8 \
  -k sharpen -k emboss -k gaussian:sigma=3 \
  -k motion:15,30 -k gabor:wavelength=8,theta=45 -k "0 -1 0; -1 4 -1; 0 -1 0" \
  --grid --quality 80 -q -f -o "$out/kernels.jpg"

cnntool kernels sobel-x --png "$out/sobel-x.png" -q -f
small astronaut.jpg | cnntool hog - --visualize "$out/large.png" -q -f -o /dev/null
cnntool pool "$out/large.png" --kind avg --size 2 -q -f -o "$out/hog.png"
rm "$out/large.png"
cnntool pool "$here/astronaut.jpg" --size 8 -q -f -o "$out/pooled.png"
cnntool pyramid "$here/chelsea.jpg" --levels 4 --name 'gaussian-{what}{ext}' \
  --quality 80 -q -f -o "$out/"
cnntool pyramid "$here/chelsea.jpg" --levels 4 --name 'laplacian-{what}{ext}' \
  --kind laplacian --format jpeg --range offset --quality 80 -q -f -o "$out/"
# the last level is a small picture, the same as in the Gaussian pyramid
rm "$out/laplacian-l3.jpg"
