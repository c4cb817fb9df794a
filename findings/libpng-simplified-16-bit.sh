#!/usr/bin/env bash
# libpng's simplified reader: the same grey is 128 in an 8-bit PNG and 186 in a 16-bit one.
#
# Versions: libpng 1.6.58, as the wheel of pygame-ce 2.5.8 has it (Debian 12's 1.6.39 does the same); called by ctypes,
# without pygame (Python 3.11, Linux).
#
# What happens: png_image_finish_read with an 8-bit format takes samples of 8 bits for sRGB, but samples of 16 bits, in a file
# that has neither gAMA nor sRGB, for linear light, and converts them. The flag PNG_IMAGE_FLAG_16BIT_sRGB, set after
# the header was read, turns that off; a comment in png.h says so, nothing in the result does.
#
# Why it surprises: to other readers (Pillow's, OpenCV's, libpng's own row-by-row interface) the bit depth is a matter of
# precision alone. Pillow and OpenCV write 16 bits without gAMA or sRGB and mean by them what they mean by 8. One would
# expect 128, give or take one. Pictures come out washed out, and nothing says why.
#
# Seen on 28 November 2026 (greys of 32, 64, 128 and 192, times 257 for 16 bits):
#   libpng 1.6.58
#   8 bits:               [32, 64, 128, 192]
#   16 bits:              [99, 136, 186, 224]
#   16 bits, sRGB chunk:  [32, 64, 128, 192]
#   16 bits, with flag:   [32, 64, 128, 192]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pygame-ce==2.5.8
cd "$folder"
venv/bin/python - <<'END'
import ctypes
import glob
import struct
import sys
import zlib

libpng = ctypes.CDLL(glob.glob("venv/lib/python*/site-packages/pygame_ce.libs/libpng16*")[0])
greys = [32, 64, 128, 192]


class Image(ctypes.Structure):  # png_image of png.h
    _fields_ = [("opaque", ctypes.c_void_p)] + [
        (name, ctypes.c_uint32) for name in ("version", "width", "height", "format", "flags", "entries", "failed")
    ] + [("message", ctypes.c_char * 64)]


def png(bits, *chunks):
    row = b"\0" + (bytes(greys) if bits == 8 else struct.pack(">4H", *(grey * 257 for grey in greys)))
    parts = [(b"IHDR", struct.pack(">2I5B", len(greys), 1, bits, 0, 0, 0, 0)), *chunks, (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)) for name, content in parts)


def read(content, flags=0):
    image, pixels = Image(version=1), (ctypes.c_uint8 * len(greys))()
    begun = libpng.png_image_begin_read_from_memory(ctypes.byref(image), content, ctypes.c_size_t(len(content)))
    image.format, image.flags = 0, image.flags | flags  # PNG_FORMAT_GRAY
    if not begun or not libpng.png_image_finish_read(ctypes.byref(image), None, pixels, 0, None):
        sys.exit(image.message.decode())
    return list(pixels)


libpng.png_get_libpng_ver.restype = ctypes.c_char_p
print("libpng", libpng.png_get_libpng_ver(None).decode())
eight, sixteen = read(png(8)), read(png(16))
print("8 bits:              ", eight)
print("16 bits:             ", sixteen)
print("16 bits, sRGB chunk: ", read(png(16, (b"sRGB", b"\0"))))
print("16 bits, with flag:  ", read(png(16), flags=4))  # PNG_IMAGE_FLAG_16BIT_sRGB
if eight != greys or not all(there > here + 30 for here, there in zip(eight, sixteen)):
    sys.exit("no longer so")
END
