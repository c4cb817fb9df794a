"""coremltools' DKM on a UNet, distilled from its full-precision self; what it reaches on the validation pictures.

The same data, batch, learning-rate curve and questions as `sdtune --recipe R --set training.steps=N`. One line of JSON.
"""
import argparse
import copy
import json
import math
import resource
import statistics
import time

import h5py
import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True, help="a diffusers folder, such as checkpoints/emoji-sd")
arguments.add_argument("--data", required=True, help="its latents, such as checkpoints/emoji-sd/latents.h5")
arguments.add_argument("--bits", type=int, required=True)
arguments.add_argument("--group-size", type=int, default=0, help="output channels that share a palette; 0: a tensor")
arguments.add_argument("--steps", type=int, default=20)
arguments.add_argument("--batch", type=int, default=16)
arguments.add_argument("--rate", type=float, default=3e-4)
arguments.add_argument("--temperature", type=float, help="palett_tau; coremltools' default without")
arguments.add_argument("--seed", type=int, default=20)
arguments = arguments.parse_args()

from coremltools.optimize.torch.palettization import (  # after the arguments: takes seconds
    DKMPalettizer, DKMPalettizerConfig, ModuleDKMPalettizerConfig)

TIMESTEPS = range(50, 1000, 100)
torch.manual_seed(arguments.seed)
teacher = UNet2DConditionModel.from_pretrained(arguments.model, subfolder="unet").eval().requires_grad_(False)
encoder = CLIPTextModel.from_pretrained(arguments.model, subfolder="text_encoder").eval().requires_grad_(False)
schedule = DDPMScheduler.from_pretrained(arguments.model, subfolder="scheduler")
student = copy.deepcopy(teacher).requires_grad_(True).train()
with h5py.File(arguments.data) as file, torch.no_grad():
    latents = {part: torch.from_numpy(file[part]["latents"][:]) for part in ("train", "val")}
    text = {part: encoder(torch.from_numpy(file[part]["input_ids"][:]).long())[0] for part in ("train", "val")}
    no_text = encoder(torch.from_numpy(file["empty_input_ids"][:]).long()[None])[0]


@torch.no_grad()
def answers(unet):
    """The noise that `unet` sees in every validation picture at every timestep, and the noise that is there."""
    predicted, true = [], []
    for index, timestep in enumerate(TIMESTEPS):
        noise = torch.randn(latents["val"].shape, generator=torch.Generator().manual_seed(1000 + index))
        noisy = schedule.add_noise(latents["val"], noise, torch.full((len(noise),), timestep))
        predicted.append(torch.cat([unet(x, timestep, c).sample for x, c in zip(noisy.split(64), text["val"].split(64))]))
        true.append(noise)
    return torch.stack(predicted), torch.stack(true)


def train(unet, palettizer, steps):
    """Seconds of each step."""
    optimizer = torch.optim.AdamW(unet.parameters(), lr=arguments.rate, betas=(0.9, 0.99), weight_decay=0)
    curve = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 10) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2))
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        chosen = torch.randint(len(latents["train"]), (arguments.batch,))
        timesteps = torch.randint(1000, (arguments.batch,))
        noise = torch.randn(latents["train"][chosen].shape)
        noisy = schedule.add_noise(latents["train"][chosen], noise, timesteps)
        states = torch.where(torch.rand(arguments.batch, 1, 1) < 0.1, no_text, text["train"][chosen])
        with torch.no_grad():
            target = teacher(noisy, timesteps, states).sample
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(unet(noisy, timesteps, states).sample, target).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1)
        optimizer.step()
        curve.step()
        if palettizer:
            palettizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds


plain = train(copy.deepcopy(student), None, 10)
settings = dict(n_bits=arguments.bits, weight_threshold=2047, kmeans_n_init=1)
if arguments.temperature:
    settings["palett_tau"] = arguments.temperature
if arguments.group_size:
    settings.update(granularity="per_grouped_channel", group_size=arguments.group_size)
palettizer = DKMPalettizer(student, DKMPalettizerConfig(global_config=ModuleDKMPalettizerConfig(**settings)))
student = palettizer.prepare(inplace=True)
seconds = train(student, palettizer, arguments.steps)
student = palettizer.finalize(inplace=True).eval()

reference, noise = answers(teacher)
found, _ = answers(student)
print(json.dumps({
    "peer": f"coremltools DKM on torch {torch.__version__}", "bits": arguments.bits, "groupSize": arguments.group_size,
    "steps": arguments.steps, "epsilonMSE": (found - noise).pow(2).mean().item(),
    "PSNR": (10 * torch.log10(reference.abs().max() ** 2 / (found - reference).pow(2).mean())).item(),
    "secondsAStep": round(statistics.median(seconds[1:]), 3), "firstStepSeconds": round(seconds[0], 1),
    "plainSecondsAStep": round(statistics.median(plain[1:]), 3), "threads": torch.get_num_threads(),
    "mostValues": max(p.detach().unique().numel() for n, p in student.named_parameters() if p.dim() > 1 and p.numel() >= 2048),
    "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}))
