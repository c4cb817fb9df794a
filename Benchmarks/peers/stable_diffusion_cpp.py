"""stable-diffusion.cpp on a UNet of random weights: seconds of a guidance step and the process's peak memory. A line of
JSON for each type of weights.

PyPI has its source: `pip download --no-binary :all: --no-deps stable-diffusion-cpp-python`, then
`cmake -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON` in `vendor/stable-diffusion.cpp`, and `sd-cli` is built.
The model's folder needs a VAE (`torch_vae.py` writes one).
"""
import argparse
import json
import os
import re
import subprocess

import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

arguments = argparse.ArgumentParser()
arguments.add_argument("--program", required=True, help="sd-cli")
arguments.add_argument("--model", required=True, help="a folder that `sdtune benchmark model` wrote, with a VAE")
arguments.add_argument("--folder", required=True, help="where to put the model together")
arguments.add_argument("--types", default="f16,q8_0")
arguments.add_argument("--steps", type=int, default=1)
arguments = arguments.parse_args()

os.makedirs(arguments.folder, exist_ok=True)
for part in ("unet", "vae"):
    if not os.path.exists(f"{arguments.folder}/{part}"):
        os.symlink(os.path.abspath(f"{arguments.model}/{part}"), f"{arguments.folder}/{part}")
encoder = f"{arguments.folder}/text_encoder"
if not os.path.exists(encoder):
    torch.manual_seed(0)
    model = CLIPTextModel(CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)).half()
    os.makedirs(encoder)
    # Under the names of every Stable Diffusion checkpoint, which transformers 5 shortens.
    tensors = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in model.state_dict().items()}
    save_file(tensors, f"{encoder}/model.safetensors")

for kind in arguments.types.split(","):
    done = subprocess.run(
        ["/usr/bin/time", "-f", "peak %M", arguments.program, "-m", arguments.folder, "--type", kind, "-p", "a red heart",
         "--steps", str(arguments.steps), "--cfg-scale", "7", "-W", "512", "-H", "512", "-t", "2", "-v",
         "-o", f"{arguments.folder}/{kind}.png"],
        capture_output=True, text=True)
    output = done.stdout + done.stderr
    steps = [float(value) for value in re.findall(r"sampling completed, taking ([0-9.]+)s", output)]
    peak = re.findall(r"peak (\d+)", output)
    print(json.dumps({
        "peer": "stable-diffusion.cpp", "type": kind, "seconds": round(steps[0] / arguments.steps, 2) if steps else None,
        "peakGiB": round(int(peak[-1]) / 2**20, 2) if peak else None, "failed": None if steps else output[-600:]}), flush=True)
