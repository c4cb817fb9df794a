"""A UNet of random weights in torch and diffusers: a forward pass or a plain training step. One line of JSON."""
import argparse
import json
import resource
import statistics
import time

import torch
from diffusers import UNet2DConditionModel

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True, help="a folder that `sdtune benchmark model` wrote")
arguments.add_argument("--train", action="store_true", help="a training step with Adam and gradient checkpointing")
arguments.add_argument("--batch", type=int, default=2)
arguments.add_argument("--runs", type=int, default=2)
arguments = arguments.parse_args()

torch.manual_seed(0)
configuration = UNet2DConditionModel.load_config(arguments.model + "/unet")
unet = UNet2DConditionModel.from_config(configuration)
side, width = configuration["sample_size"], configuration["cross_attention_dim"]
x = torch.randn(arguments.batch, 4, side, side)
context = torch.randn(arguments.batch, 77, width)
time_step = torch.full((arguments.batch,), 500)

if arguments.train:
    unet.train().enable_gradient_checkpointing()
    optimizer = torch.optim.Adam(unet.parameters(), lr=1e-5)

    def run():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(unet(x, time_step, context).sample, x).backward()
        optimizer.step()
else:
    unet.eval()
    torch.set_grad_enabled(False)

    def run():
        unet(x, time_step, context)

seconds = []
for _ in range(arguments.runs + (0 if arguments.train else 1)):
    start = time.perf_counter()
    run()
    seconds.append(time.perf_counter() - start)
print(json.dumps({
    "peer": f"torch {torch.__version__}", "work": "training step" if arguments.train else "forward",
    "batch": arguments.batch, "seconds": round(statistics.median(seconds if arguments.train else seconds[1:]), 2),
    "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    "threads": torch.get_num_threads()}))
