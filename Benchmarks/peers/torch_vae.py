"""Stable Diffusion's VAE decoder of random weights in torch and diffusers, 512×512 pixels. One line of JSON.

Writes the VAE into the model's folder and latents beside it, for `sdtune convert --components vae-decoder` and
`sdtune benchmark package`.
"""
import argparse
import json
import os
import resource
import statistics
import time

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True, help="a folder that `sdtune benchmark model` wrote")
arguments.add_argument("--runs", type=int, default=2)
arguments = arguments.parse_args()

torch.manual_seed(0)
torch.set_grad_enabled(False)
folder = arguments.model + "/vae"
if not os.path.exists(folder):
    levels = 4
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)
    vae.half().save_pretrained(folder)
    save_file({"z": torch.randn(1, 4, 64, 64)}, arguments.model + "/vae-inputs.safetensors")
vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval()
latents = torch.randn(1, 4, 64, 64)

seconds = []
for _ in range(arguments.runs + 1):
    start = time.perf_counter()
    vae.decode(latents)
    seconds.append(time.perf_counter() - start)
print(json.dumps({
    "peer": f"torch {torch.__version__}", "work": "VAE decoder", "seconds": round(statistics.median(seconds[1:]), 2),
    "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    "threads": torch.get_num_threads()}))
