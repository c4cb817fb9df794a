"""coremltools' palettes without training on a UNet: k-means, and k-means by sensitivity (SKM), on the validation pictures.

The same questions as `sdtune evaluate --data`, so that its PSNR compares with `sdtune palettize --calibrate`. One line of
JSON for each width.
"""
import argparse
import json
import math
import time

import h5py
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True, help="a diffusers folder, such as checkpoints/emoji-sd")
arguments.add_argument("--data", required=True, help="its latents, such as checkpoints/emoji-sd/latents.h5")
arguments.add_argument("--bits", type=int, nargs="+", default=[4, 3, 2, 1])
arguments.add_argument("--samples", type=int, default=512, help="pictures that sensitivities are measured on")
arguments.add_argument("--batch", type=int, default=16)
arguments.add_argument("--seed", type=int, default=20)
arguments = arguments.parse_args()

from coremltools.optimize.torch.palettization import (  # after the arguments: takes seconds
    PostTrainingPalettizer, PostTrainingPalettizerConfig, SKMPalettizer, SKMPalettizerConfig)

torch.manual_seed(arguments.seed)
model = UNet2DConditionModel.from_pretrained(arguments.model, subfolder="unet").eval()
encoder = CLIPTextModel.from_pretrained(arguments.model, subfolder="text_encoder").eval()
schedule = DDPMScheduler.from_pretrained(arguments.model, subfolder="scheduler")
with h5py.File(arguments.data) as file, torch.no_grad():
    train, validation = (torch.tensor(file[f"{split}/latents"][:]) for split in ("train", "val"))
    texts = [
        torch.cat([encoder(ids)[0] for ids in torch.tensor(file[f"{split}/input_ids"][:]).long().split(128)])
        for split in ("train", "val")]


def questions():
    for index, timestep in enumerate(range(50, 1000, 100)):
        noise = torch.randn(validation.shape, generator=torch.Generator().manual_seed(1000 + index))
        yield schedule.add_noise(validation, noise, torch.full((len(validation),), timestep)), timestep


@torch.no_grad()
def answers(network):
    return torch.cat([
        torch.cat([network(part, timestep, encoder_hidden_states=text).sample
                   for part, text in zip(noisy.split(33), texts[1].split(33))])
        for noisy, timestep in questions()])


def batches():
    generator = torch.Generator().manual_seed(arguments.seed)
    while True:
        rows = torch.randint(len(train), (arguments.batch,), generator=generator)
        timesteps = torch.randint(1000, (arguments.batch,), generator=generator)
        noise = torch.randn(train[rows].shape, generator=generator)
        yield schedule.add_noise(train[rows], noise, timesteps), timesteps, texts[0][rows], noise


def loss(network, batch):
    noisy, timesteps, text, noise = batch
    return torch.nn.functional.mse_loss(network(noisy, timesteps, encoder_hidden_states=text).sample, noise)


# Layers that sdtune leaves in half precision, too.
small = {name: None for name, module in model.named_modules()
         if hasattr(module, "weight") and module.weight is not None and module.weight.numel() <= 2048}
reference = answers(model)
peak = reference.abs().max().item()
for bits in arguments.bits:
    for name in ("PostTrainingPalettizer", "SKMPalettizer"):
        started = time.monotonic()
        common = {"n_bits": bits, "granularity": "per_tensor"}
        if name == "SKMPalettizer":
            config = SKMPalettizerConfig.from_dict({
                "global_config": common, "module_name_configs": small,
                "calibration_nsamples": arguments.samples // arguments.batch})
            result = SKMPalettizer(model, config).compress(dataloader=batches(), loss_fn=loss)
        else:
            config = PostTrainingPalettizerConfig.from_dict({"global_config": common, "module_name_configs": small})
            result = PostTrainingPalettizer(model, config).compress()
        seconds = time.monotonic() - started
        error = (answers(result.eval()) - reference).square().mean().item()
        print(json.dumps({
            "palettizer": name, "bits": bits, "psnr": 10 * math.log10(peak ** 2 / error), "seconds": seconds}), flush=True)
