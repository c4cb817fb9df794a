#!/usr/bin/env bash
# OpenCV: imread gives None for a TIFF that is stored on its side; imdecode of the same bytes reads it.
#
# Versions: opencv-python-headless 5.0.0.93 (4.14.0.94 does the same, 4.10.0.84 reads the file), numpy 2.4.6, Pillow 13.0.0
# (Python 3.11).
#
# What happens: orientations 5 to 8, those that swap width and height, make imread fail by an internal check that the
# buffer is still the one of the header's size (in the log; Python gets None). Orientations 1 to 4 are read, and so
# are square pictures. The flags for the stored form, IMREAD_UNCHANGED and IMREAD_IGNORE_ORIENTATION, do not help.
#
# Why it surprises: Orientation is a tag of baseline TIFF, imread and imdecode are the same decoder to anyone who calls
# them, and square pictures, as in many a test, are read. One would expect what imdecode gives: 40 high and 20 wide.
# Code that passes over what is None loses the portraits only.
#
# Seen on 28 November 2026 (each line: imread with IMREAD_COLOR, _UNCHANGED, _IGNORE_ORIENTATION; imdecode with IMREAD_COLOR):
#   40x20, orientation 1: [(20, 40), (20, 40), (20, 40)] (20, 40)
#   40x20, orientation 3: [(20, 40), (20, 40), (20, 40)] (20, 40)
#   40x20, orientation 6: [None, None, None] (40, 20)
#   40x20, orientation 8: [None, None, None] (40, 20)
#   40x40, orientation 6: [(40, 40), (40, 40), (40, 40)] (40, 40)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0
cd "$folder"
OPENCV_LOG_LEVEL=SILENT venv/bin/python - <<'END'
import sys

import cv2
import numpy as np
from PIL import ExifTags, Image

seen = {}
for size, orientation in (((40, 20), 1), ((40, 20), 3), ((40, 20), 6), ((40, 20), 8), ((40, 40), 6)):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.linear_gradient("L").resize(size).convert("RGB").save("picture.tif", exif=exif)
    flags = (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    read = [cv2.imread("picture.tif", flag) for flag in flags]
    read = [None if array is None else array.shape[:2] for array in read]
    decoded = cv2.imdecode(np.fromfile("picture.tif", np.uint8), cv2.IMREAD_COLOR).shape[:2]
    print(f"{size[0]}x{size[1]}, orientation {orientation}: {read} {decoded}")
    seen[size, orientation] = (read[0], decoded)
if any(seen[(40, 20), orientation] != (None, (40, 20)) for orientation in (6, 8)) or seen[(40, 40), 6][0] is None:
    sys.exit("no longer so")
END
