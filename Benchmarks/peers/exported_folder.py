"""A folder of `sdtune export --format diffusers` in diffusers itself: it loads, and its picture is sdtune's. One line of JSON.

Both get the same prompt, seed (torch's noise), steps, guidance and size. Needs torch, diffusers and transformers.

    python3 Benchmarks/peers/exported_folder.py FOLDER --size 64
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import diffusers
import numpy
import torch
from PIL import Image

arguments = argparse.ArgumentParser()
arguments.add_argument("folder")
arguments.add_argument("--size", type=int, default=512, help="pixels of the picture's sides")
arguments.add_argument("--steps", type=int, default=4)
arguments.add_argument("--prompt", default="a red heart")
arguments.add_argument("--sdtune", default=".build/release/sdtune")
arguments = arguments.parse_args()

pipeline = diffusers.DiffusionPipeline.from_pretrained(arguments.folder, local_files_only=True)
theirs = pipeline(
    arguments.prompt, num_inference_steps=arguments.steps, guidance_scale=7.5, height=arguments.size, width=arguments.size,
    generator=torch.Generator().manual_seed(1)).images[0]
with tempfile.TemporaryDirectory() as folder:
    picture = pathlib.Path(folder) / "picture.png"
    subprocess.run(
        [arguments.sdtune, "generate", "--models", arguments.folder, "--prompt", arguments.prompt, "--seed", "1",
         "--steps", str(arguments.steps), "--guidance", "7.5", "--width", str(arguments.size), "--height", str(arguments.size),
         "--output", str(picture)], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    ours = Image.open(picture).convert("RGB")
error = numpy.mean((numpy.asarray(theirs, float) - numpy.asarray(ours, float)) ** 2)
print(json.dumps({
    "pipeline": type(pipeline).__name__, "diffusers": diffusers.__version__,
    "psnr": None if error == 0 else round(10 * float(numpy.log10(255**2 / error)), 2)}))
