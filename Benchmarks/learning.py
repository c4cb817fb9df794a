#!/usr/bin/env python3
"""Learning pictures while palettizing to 4 bits, beside the same fine-tune in full precision, and palettized afterwards.

    python3 Benchmarks/learning.py [--data FOLDER] [--steps 1000] [--folder DIR]

The bundled model learns 600 of Debian's 785 captioned stamps (`make stamps` installs them) by the diffusion loss; figures are
epsilon-MSE on the 185 others: of the package by the runner, and of half-precision weights for full precision. The gap is what
palettes cost, as a share of what fine-tuning gained.
"""
import argparse
import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..")
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", default=f"{ROOT}/.build/release/sdtune")
parser.add_argument("--data", default="/usr/share/tuxpaint/stamps")
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--folder", default=f"{ROOT}/.build/benchmark-learning")
arguments = parser.parse_args()
MODEL = f"{ROOT}/checkpoints/emoji-sd"


def tune(name, *settings, model=MODEL):
    words = [
        "training.loss=diffusion", "pictures.captions.missing=skip", "pictures.validation=0.2357", "pictures.fit=square",
        "clustering.hardShare=0.85", "clustering.polishShare=0.05", f"training.steps={arguments.steps}", *settings]
    subprocess.run(
        [arguments.program, "--recipe", f"{ROOT}/recipes/unet-4bit.json", "--model", model, "--data", arguments.data,
         "--output", f"{arguments.folder}/{name}"] + [word for setting in words for word in ("--set", setting)],
        check=True, stdout=subprocess.DEVNULL)
    with open(f"{arguments.folder}/{name}/report.json") as file:
        return json.load(file)


full = tune("full-precision", "clustering.bits=16")
tuned = tune("4-bit")
model = f"{arguments.folder}/fine-tuned"
shutil.rmtree(model, ignore_errors=True)
shutil.copytree(MODEL, model, ignore=shutil.ignore_patterns("unet", "*.h5"))
subprocess.run(
    [arguments.program, "export", "--checkpoint", f"{arguments.folder}/full-precision/state.h5", "--format", "diffusers",
     "--model", MODEL, "--output", f"{model}/unet"], check=True, stdout=subprocess.DEVNULL)
after = tune("palettized-afterwards", "training.steps=0", model=model)

before, reached = full["reference"]["epsilonMSE"], full["tuned"]["epsilonMSE"]
gaps = {
    "palettized while learning": tuned["tuned"]["epsilonMSE"], "learned, then palettized": after["tuned"]["epsilonMSE"]}
print(json.dumps({
    "steps": arguments.steps, "before": round(before, 6), "full precision": round(reached, 6),
    **{name: round(value, 6) for name, value in gaps.items()},
    "gaps as shares of the gain": {name: round((value - reached) / (before - reached), 4) for name, value in gaps.items()}}))
