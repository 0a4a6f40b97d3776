#!/bin/sh
# The edges of every picture of a folder, in another folder. A second run makes only what is missing.
#
#     sh samples/edges_of_a_folder.sh OUT [PICTURES]
set -eu
out=${1:?"give a folder for the results"}
pictures=${2:-$(cd "$(dirname "$0")" && pwd)}

cnntool edges "$pictures" --operator scharr -o "$out/" --skip-existing --quiet
