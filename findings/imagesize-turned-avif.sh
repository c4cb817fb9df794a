#!/usr/bin/env bash
# imagesize: every AVIF with a rotation in it measures -1 by -1, even if one asks for the stored size.
#
# Versions: imagesize 2.0.1, Pillow 13.0.0 with libavif 1.4.2 (Python 3.11).
#
# What happens: AVIF and HEIF keep a rotation in the property 'irot', whose content is a single byte (ISO/IEC 23008-12).
# imagesize waits for five, as if a version and flags came first, and gives up: get_info raises
# ValueError, get returns (-1, -1), which is no exception and passes as a size.
#
# Why it surprises: 2.0's notes name AVIF and HEIF among the formats whose rotation is now obeyed, and the rotation is the only
# difference between the two files here. One would expect 48 by 64, or 64 by 48 with exif_rotation=False. Trainers
# take this library to sort pictures into buckets by size and shape (kohya's sd-scripts an older version of it).
#
# Seen on 28 November 2026:
#   not turned: Pillow (64, 48), get (64, 48), stored (64, 48)
#   turned:     Pillow (48, 64), get (-1, -1), stored (-1, -1)
#   turned:     irot holds 1 byte; get_info: ValueError: Invalid ISO box payload
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imagesize==2.0.1 pillow==13.0.0
cd "$folder"
venv/bin/python - <<'END'
import struct
import sys

import imagesize
from PIL import ExifTags, Image, ImageOps

picture = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
picture.save("plain.avif")
exif = Image.Exif()
exif[ExifTags.Base.Orientation] = 6
picture.save("turned.avif", exif=exif)
sizes = {}
for words, path in (("not turned:", "plain.avif"), ("turned:", "turned.avif")):
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened).size
    sizes[path] = (imagesize.get(path), imagesize.get(path, exif_rotation=False))
    print(f"{words:11} Pillow {upright}, get {sizes[path][0]}, stored {sizes[path][1]}")
content = open("turned.avif", "rb").read()
place = content.index(b"irot")
length = struct.unpack(">I", content[place - 4:place])[0] - 8
try:
    said = imagesize.get_info("turned.avif")
except ValueError as error:
    said = f"ValueError: {error}"
print(f"turned:     irot holds {length} byte; get_info: {said}")
if sizes != {"plain.avif": ((64, 48), (64, 48)), "turned.avif": ((-1, -1), (-1, -1))}:
    sys.exit("no longer so")
END
