"""Photos to training pictures with Pillow, one thread: decoded, turned upright, resized by Lanczos, cropped. One line of JSON.

The sizes are those of diffusers' training scripts: the shorter side becomes --side, the longer one int(side * long / short).
"whole" decodes every pixel and resizes in one step, "gap" resizes in two (`reducing_gap`), "draft" has libjpeg decode at the
least of 1/8, 1/4 and 1/2 that is no smaller than the result: Pillow's fastest, but other bytes. Colour profiles are ignored.
"""
import argparse
import json
import pathlib
import resource
import statistics
import time

import PIL
from PIL import ExifTags, Image, ImageOps, features

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", help="of JPEG files; `make_photos.py` makes some")
arguments.add_argument("--side", type=int, default=512)
arguments.add_argument("--rounds", type=int, default=3, help="measured ones over the whole folder; one picture warms up")
arguments = arguments.parse_args()

paths = sorted(path for path in pathlib.Path(arguments.folder).iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
assert paths, "no .jpg or .jpeg in " + arguments.folder


def resized(size):
    return tuple(int(arguments.side * length / min(size)) for length in size)


def prepare(path, way):
    with Image.open(path) as picture:
        size = resized(picture.size)
        if way == "draft":
            picture.draft("RGB", size)
        if picture.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9):
            size = size[::-1]
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright = upright.resize(size, Image.Resampling.LANCZOS, reducing_gap=None if way == "whole" else 2.0)
    left, top = (round((length - arguments.side) / 2) for length in size)
    return upright.crop((left, top, left + arguments.side, top + arguments.side))


def measure(way):
    prepare(paths[0], way)
    seconds, processor = [], []
    for _ in range(arguments.rounds):
        start, started = time.perf_counter(), time.process_time()
        for path in paths:
            prepare(path, way)
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - started)
    return {
        "picturesPerSecond": round(len(paths) / statistics.median(seconds), 2),
        "best": round(len(paths) / min(seconds), 2),
        "processorSecondsEach": round(statistics.median(processor) / len(paths), 3)}


results = {way: measure(way) for way in ("whole", "gap", "draft")}
print(json.dumps({
    "peer": f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}", "work": "photos to training pictures",
    "pictures": len(paths), "side": arguments.side, "threads": 1, **results,
    "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}))
