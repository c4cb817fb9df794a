#!/usr/bin/env python3
"""A hundred thousand pictures: looking at them, encoding some, stopping, going on, and an epoch's order. A line of JSON each.

    PYTHON=/path/to/python python3 Benchmarks/large_set.py [--count 100000] [--folder DIR]

PYTHON has pillow, numpy and h5py, which make the pictures, and a cache as if all had been encoded.
"""
import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", default=os.path.join(HERE, "../.build/release/sdtune"))
parser.add_argument("--python", default=os.environ.get("PYTHON") or sys.executable)
parser.add_argument("--folder", default=os.path.join(HERE, "../.build/benchmark-large-set"))
parser.add_argument("--count", type=int, default=100_000)
arguments = parser.parse_args()
MODEL = os.path.join(HERE, "../checkpoints/emoji-sd")
PICTURES = f"{arguments.folder}/pictures"

MAKE = """
import os, sys, numpy as np
from PIL import Image
folder, count = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
y, x = np.mgrid[0:72, 0:96]
for i in range(count):
    place = f"{folder}/{i // 1000:03d}"
    os.makedirs(place, exist_ok=True)
    a = np.stack([x * 2.5 + i % 50, y * 3 - i % 70, (x + y) * (1 + i % 7) / 6], -1) + rng.integers(0, 12)
    a = np.ascontiguousarray(a[:72 - i % 24, :96 - i % 40])
    Image.fromarray(a.clip(0, 255).astype(np.uint8)).save(f"{place}/{i:06d}.jpg", quality=85)
    open(f"{place}/{i:06d}.txt", "w").write(f"picture {i} with a caption of some words")
"""

CACHE = """
import sys, h5py, numpy as np
path, source, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)
def texts(group, name, items):
    items = [item.encode() for item in items]
    group[name + "_bytes"] = np.frombuffer(b"".join(items), np.uint8)
    group[name + "_ends"] = np.cumsum([len(item) for item in items]).astype("<i8")
with h5py.File(source) as old, h5py.File(path, "w") as new:
    for name, value in old.attrs.items():
        new.attrs[name] = value
    square = new.create_group("latents/16x16")
    for name in ("mean", "deviation"):
        rows = square.create_dataset(name, (count, 4, 16, 16), "<f4", chunks=(1, 4, 16, 16), fletcher32=True)
        for start in range(0, count, 10000):
            n = min(10000, count - start)
            rows[start:start + n] = rng.standard_normal((n, 4, 16, 16)).astype("<f4") * (1 if name == "mean" else 0.01)
    square["facts"] = np.tile(np.array([0, 0, 96, 72], "<i8"), (count, 1))
    texts(square, "keys", [f"{i:064x} square 64 over [255, 255, 255] centre" for i in range(count)])
    captions = [f"picture {i} with a caption of some words" for i in range(count)]
    texts(new, "captions/text", captions)
    texts(new, "samples/file", [f"{i:06d}.jpg" for i in range(count)])
    n = np.arange(count)
    table = np.stack([0 * n, n, 0 * n + 1, (n % 1000 == 0) * 1, 0 * n + 1, 0 * n + 96, 0 * n + 72, n, n + 1], -1)
    new["samples/table"] = table.astype("<i8")
"""


def run(*command, stop_at=None):
    """Seconds and the peak of memory in GiB; `stop_at` encodings, the process is asked to stop."""
    started = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        done = re.match(r"encoding: (\d+) of", line)
        if stop_at and done and int(done.group(1)) >= stop_at:
            process.send_signal(signal.SIGINT)
            stop_at = None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    return {"seconds": round(time.time() - started, 1), "peakGiB": round(usage.ru_maxrss / 2**20, 3),
            "status": os.waitstatus_to_exitcode(status), "last": lines[-1] if lines else ""}, output


def tell(work, figures):
    print(json.dumps({"work": work, "pictures": arguments.count, **figures}), flush=True)


os.makedirs(arguments.folder, exist_ok=True)
if not os.path.isdir(PICTURES):
    subprocess.run([arguments.python, "-c", MAKE, PICTURES, str(arguments.count)], check=True)
prepare = [arguments.program, "prepare", PICTURES, "--model", MODEL, "--output", f"{arguments.folder}/set.h5"]
for name in ("set.h5", "set.h5.parts"):
    subprocess.run(["rm", "-rf", f"{arguments.folder}/{name}"])
tell("dry run: every picture listed, hashed and decoded", run(*prepare, "--dry-run", "--json")[0])
tell("200 encoded, then Ctrl-C", run(*prepare, stop_at=200)[0])
tell("the same command: those stay, 200 more, then Ctrl-C", run(*prepare, stop_at=200)[0])

small, large = f"{arguments.folder}/small.h5", f"{arguments.folder}/large.h5"
one = f"{arguments.folder}/one"
if not os.path.exists(large):
    os.makedirs(one, exist_ok=True)
    for i in range(3):
        subprocess.run(["cp", f"{PICTURES}/000/{i:06d}.jpg", f"{PICTURES}/000/{i:06d}.txt", one])
    run(arguments.program, "prepare", one, "--model", MODEL, "--output", f"{arguments.folder}/one.h5")
    for path, count in ((small, 1000), (large, arguments.count)):
        subprocess.run([arguments.python, "-c", CACHE, path, f"{arguments.folder}/one.h5", str(count)], check=True)
tune = [arguments.program, "--recipe", os.path.join(HERE, "../recipes/smoke.json"), "--set", "training.order=epochs",
        "--set", "training.loss=diffusion", "--set", "training.steps=20", "--set", "evaluation.pictures=2",
        "--set", "evaluation.timesteps=[500]"]
for name, path in (("a thousand", small), ("all", large)):
    figures, _ = run(*tune, "--data", path, "--output", f"{arguments.folder}/run")
    tell(f"20 steps in an epoch's order, a cache of {name}", figures)
