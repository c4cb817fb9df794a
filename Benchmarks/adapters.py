"""Seconds and memory of a conversion with two random LoRAs on every linear layer of a UNet, beside the conversion without them:

    adapters.py SDTUNE UNET.safetensors [--rank 32] [--pairs 4]

UNET is a file with a UNet under diffusers' or the original names. Needs numpy and safetensors. Prints each pair and the median
ratio of seconds.
"""
import argparse
import os
import statistics
import subprocess
import tempfile
import time

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

arguments = argparse.ArgumentParser()
arguments.add_argument("sdtune")
arguments.add_argument("unet")
arguments.add_argument("--rank", type=int, default=32)
arguments.add_argument("--pairs", type=int, default=4)
arguments = arguments.parse_args()


def write_adapter(path, seed):
    random = np.random.default_rng(seed)
    tensors = {}
    with safe_open(arguments.unet, "np") as file:
        for name in file.keys():
            shape = file.get_slice(name).get_shape()
            if len(shape) != 2 or "transformer_blocks" not in name or not name.endswith(".weight"):
                continue
            module = "lora_unet_" + name.removeprefix("model.diffusion_model.").removesuffix(".weight").replace(".", "_")
            for part, extents in (("down", (arguments.rank, shape[1])), ("up", (shape[0], arguments.rank))):
                factor = 0.02 * random.standard_normal(extents, dtype=np.float32)
                tensors[f"{module}.lora_{part}.weight"] = factor.astype(np.float16)
    save_file(tensors, path)


def convert(folder, adapters):
    words = [word for path in adapters for word in ("--lora", path)]
    start = time.time()
    process = subprocess.Popen(
        [arguments.sdtune, "convert", "--model", arguments.unet, "--components", "unet", "--quantize-nbits", "4",
         "--output", os.path.join(folder, "out")] + words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.time() - start
    assert status == 0, "the conversion failed"
    subprocess.run(["rm", "-rf", os.path.join(folder, "out")], check=True)
    return seconds, usage.ru_maxrss / 1024


with tempfile.TemporaryDirectory() as folder:
    adapters = [os.path.join(folder, f"adapter{seed}.safetensors") for seed in (1, 2)]
    for seed, path in enumerate(adapters):
        write_adapter(path, seed)
    ratios = []
    for _ in range(arguments.pairs):
        (plain, less), (adapted, more) = convert(folder, []), convert(folder, adapters)
        ratios.append(adapted / plain)
        print(f"without {plain:.1f} s {less:.0f} MiB, with {adapted:.1f} s {more:.0f} MiB: {ratios[-1]:.2f}", flush=True)
    print(f"rank {arguments.rank}: median ratio {statistics.median(ratios):.2f}")
