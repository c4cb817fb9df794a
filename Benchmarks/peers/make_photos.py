"""Writes photos that nobody took: JPEG, 4000×3000, 4:2:0, quality 90, two to four megabytes each, the same for the same seed.

Each has a gradient of sky or wall, shapes with hard and soft edges, noise of every octave (its strength differing over
the picture, as grass and sky do) and a sensor's grain.
"""
import argparse
import json
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

arguments = argparse.ArgumentParser()
arguments.add_argument("folder")
arguments.add_argument("--count", type=int, default=8)
arguments.add_argument("--seed", type=int, default=0)
arguments.add_argument("--width", type=int, default=4000)
arguments.add_argument("--height", type=int, default=3000)
arguments = arguments.parse_args()
size = (arguments.width, arguments.height)


def noise(random, cells):
    """Smooth noise with so many cells across."""
    small = random.standard_normal((max(cells * size[1] // size[0], 1) + 1, cells + 1), dtype=np.float32)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def photo(random):
    across, down = np.linspace(0, 1, size[0], dtype=np.float32), np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    corners = random.uniform(40, 215, (4, 3)).astype(np.float32)
    gradient = [
        (corners[0, c] * (1 - across) + corners[1, c] * across) * (1 - down) + (corners[2, c] * (1 - across) + corners[3, c] * across) * down
        for c in range(3)]
    picture = Image.fromarray(np.stack(gradient, axis=-1).clip(0, 255).astype(np.uint8))
    for layer in range(3):  # The far shapes are out of focus.
        draw = ImageDraw.Draw(picture)
        for _ in range(8):
            colour = tuple(int(value) for value in random.integers(10, 245, 3))
            centre, radius = random.uniform(0, 1, 2) * size, random.uniform(0.03, 0.2) * size[1]
            angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 9)))
            if random.random() < 0.4:
                draw.ellipse([*(centre - radius), *(centre + radius * random.uniform(0.3, 1))], fill=colour)
            else:
                draw.polygon([(centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)) for angle in angles], fill=colour)
        if layer < 2:
            picture = picture.filter(ImageFilter.GaussianBlur((12, 3)[layer]))
    values = np.asarray(picture).astype(np.float32)
    texture = np.zeros(size[::-1], np.float32)
    cells = 4
    while cells < size[0]:
        texture += noise(random, cells) * np.float32(22 * (4 / cells) ** 0.25)
        cells *= 2
    texture *= random.uniform(1, 2.5) / (1 + np.exp(-2 * noise(random, 5)))
    values += texture[..., None] * random.uniform(0.7, 1.1, 3).astype(np.float32)
    values += random.standard_normal(values.shape, dtype=np.float32) * np.float32(3.5)
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


os.makedirs(arguments.folder, exist_ok=True)
sizes = []
for index in range(arguments.count):
    path = f"{arguments.folder}/photo-{index:04}.jpg"
    photo(np.random.default_rng([arguments.seed, index])).save(path, quality=90, subsampling="4:2:0")
    sizes.append(os.path.getsize(path) / 1e6)
print(json.dumps({"photos": len(sizes), "megabytes": [round(min(sizes), 2), round(max(sizes), 2)], "seed": arguments.seed}))
