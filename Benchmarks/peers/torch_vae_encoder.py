"""Stable Diffusion's VAE encoder of random weights in torch and diffusers: `encode` to the latents' mean. One line of JSON.

Tries float32 and bfloat16, each with channels first and last; "fastest" is the best of the four.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--vae", help="a folder: the VAE in it is taken, or a random one written there, so that `sdtune` can encode with the same")
arguments.add_argument("--side", type=int, default=512, help="of the pictures, in pixels")
arguments.add_argument("--batch", type=int, default=1)
arguments.add_argument("--threads", type=int, help="torch's own choice without it")
arguments.add_argument("--runs", type=int, default=3, help="measured ones; one more warms up")
arguments.add_argument("--only", help="a variant, such as bfloat16-last, in this process")
arguments = arguments.parse_args()
variants = [f"{kind}-{channels}" for kind in ("float32", "bfloat16") for channels in ("first", "last")]


def encoder():
    from diffusers import AutoencoderKL

    if arguments.vae and os.path.exists(arguments.vae):
        vae = AutoencoderKL.from_pretrained(arguments.vae, low_cpu_mem_usage=False)
    else:
        levels = 4
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=512,
            down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)
        if arguments.vae:
            vae.save_pretrained(arguments.vae)
    del vae.decoder, vae.post_quant_conv
    return vae.eval()


def measure(variant):
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    kind, channels = variant.split("-")
    form = {"first": torch.contiguous_format, "last": torch.channels_last}[channels]
    vae = torch.nn.Module.to(encoder(), getattr(torch, kind), memory_format=form)  # diffusers' own `to` warns of nothing here.
    pictures = torch.rand(arguments.batch, 3, arguments.side, arguments.side) * 2 - 1
    pictures = pictures.to(getattr(torch, kind), memory_format=form)
    seconds, processor = [], []
    with torch.inference_mode():
        for _ in range(arguments.runs + 1):
            start, started = time.perf_counter(), time.process_time()
            latents = vae.encode(pictures).latent_dist.mean
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - started)
    assert latents.isfinite().all()
    median = statistics.median(seconds[1:])
    return torch.__version__, torch.get_num_threads(), {
        "picturesPerSecond": round(arguments.batch / median, 3), "seconds": round(median, 2), "least": round(min(seconds[1:]), 2),
        "processorSeconds": round(statistics.median(processor[1:]), 2),
        "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}


if arguments.only:
    print(json.dumps(measure(arguments.only)))
else:
    results = {}
    for variant in variants:
        # A process each: peaks of memory do not fall.
        child = subprocess.run([sys.executable, *sys.argv, "--only", variant], check=True, stdout=subprocess.PIPE)
        version, threads, results[variant] = json.loads(child.stdout.splitlines()[-1])
    fastest = max(variants, key=lambda variant: results[variant]["picturesPerSecond"])
    print(json.dumps({
        "peer": f"torch {version}", "work": "VAE encoder", "side": arguments.side, "batch": arguments.batch,
        "threads": threads, "fastest": fastest, **results[fastest], "variants": results}))
