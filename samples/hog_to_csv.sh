#!/bin/sh
# HOG features of photos in a CSV file: one row a photo, its path first. All photos are brought to
# 128 rows and 64 columns, so that all rows have the same 3780 numbers.
#
#     sh samples/hog_to_csv.sh OUT
set -eu
out=${1:?"give a folder for the results"}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"

cnntool hog "$here"/*.jpg --size 128x64 --block 2 --force --quiet -o "$out/features.csv"
