#!/usr/bin/env python3
"""Photos and the VAE's encoder beside Pillow and torch, in turn on one machine: a line of JSON each, with ratios.

    PYTHON=/path/to/python python3 Benchmarks/pictures.py [--rounds 3] [--folder DIR]

PYTHON has pillow and numpy, torch and diffusers. Pillow decodes in one step ("whole"), as exactly as we do, and by
libjpeg's scaled decoding ("draft"), its fastest, which gives other bytes.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", default=os.path.join(HERE, "../.build/release/sdtune"))
parser.add_argument("--python", default=os.environ.get("PYTHON") or sys.executable, help="with the peers")
parser.add_argument("--folder", default=os.path.join(HERE, "../.build/benchmark-pictures"))
parser.add_argument("--photos", type=int, default=8)
parser.add_argument("--rounds", type=int, default=3)
arguments = parser.parse_args()
PHOTOS, VAE = f"{arguments.folder}/photos", f"{arguments.folder}/vae"


def last_json(*command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-800:]}")
    text = done.stdout
    return json.loads(text[text.index("{"):]) if text.lstrip().startswith("{") else json.loads(text.splitlines()[-1])


def ours(*options, **environment):
    return last_json(arguments.program, "benchmark", "pictures", "--runs", "2", "--json", *options, **environment)


def peer(script, *options):
    return last_json(arguments.python, f"{HERE}/peers/{script}", *options)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


os.makedirs(arguments.folder, exist_ok=True)
if not os.path.isdir(PHOTOS):
    subprocess.run([arguments.python, f"{HERE}/peers/make_photos.py", PHOTOS, "--count", str(arguments.photos)], check=True)

mine, theirs = [], []
for _ in range(arguments.rounds):
    mine.append(ours("--photos", PHOTOS, SDTUNE_THREADS="1"))
    theirs.append(peer("pillow_resize.py", PHOTOS, "--rounds", "2"))
for way in ("whole", "draft"):
    rates = [row[way]["picturesPerSecond"] for row in theirs]
    print(json.dumps({
        "work": f"12-megapixel JPEG to 512x512, one thread, beside Pillow ({way})",
        "ours": [round(row["picturesPerSecond"], 2) for row in mine], "theirs": rates,
        "ratio": round(median(mine, "picturesPerSecond") / statistics.median(rates), 2)}))

# The peer writes the VAE that both encode with; its fastest variant alone is measured again in turn with ours.
fastest = peer("torch_vae_encoder.py", "--vae", VAE, "--runs", "1")["fastest"]
mine, theirs = [], []
for _ in range(arguments.rounds):
    mine.append(ours("--vae", VAE))
    theirs.append(peer("torch_vae_encoder.py", "--vae", VAE, "--runs", "2", "--only", fastest)[2])
print(json.dumps({
    "work": f"VAE encoder of SD 1.5's shape at 512x512, pictures a second, beside torch at its fastest ({fastest})",
    "ours": [round(row["picturesPerSecond"], 3) for row in mine], "theirs": [row["picturesPerSecond"] for row in theirs],
    "ratio": round(median(mine, "picturesPerSecond") / median(theirs, "picturesPerSecond"), 2),
    "peakGiB": [round(median(mine, "peakGiB"), 2), median(theirs, "peakGiB")]}))
