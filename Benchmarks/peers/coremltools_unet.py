"""A UNet of random weights to a package by torch's trace and coremltools, which is what Apple's converter does. One line of JSON."""
import argparse
import json
import os
import resource
import time

import coremltools as ct
import numpy as np
import torch
from diffusers import UNet2DConditionModel

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True, help="a folder that `sdtune benchmark model` wrote")
arguments.add_argument("--output", required=True, help="the .mlpackage to write")
arguments.add_argument("--bits", type=int, help="palettize with coremltools' k-means")
arguments = arguments.parse_args()


class AppleInterface(torch.nn.Module):
    """Text states in the layout of Apple's packages, [batch, features, 1, tokens]."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states):
        states = encoder_hidden_states.squeeze(2).transpose(1, 2)
        return self.unet(sample, timestep, states, return_dict=False)[0]


start = time.perf_counter()
unet = UNet2DConditionModel.from_pretrained(arguments.model, subfolder="unet").eval()
side, width = unet.config.sample_size, unet.config.cross_attention_dim
shapes = {"sample": (2, 4, side, side), "timestep": (2,), "encoder_hidden_states": (2, width, 1, 77)}
with torch.no_grad():
    traced = torch.jit.trace(
        AppleInterface(unet), tuple(torch.rand(shape) for shape in shapes.values()), check_trace=False)
traced_after = time.perf_counter() - start
package = ct.convert(
    traced, inputs=[ct.TensorType(name, shape, dtype=np.float16) for name, shape in shapes.items()],
    outputs=[ct.TensorType("noise_pred", dtype=np.float32)], convert_to="mlprogram",
    minimum_deployment_target=ct.target.iOS16, skip_model_load=True)
if arguments.bits:
    from coremltools.optimize.coreml import OpPalettizerConfig, OptimizationConfig, palettize_weights

    package = palettize_weights(package, OptimizationConfig(OpPalettizerConfig("kmeans", nbits=arguments.bits)))
package.save(arguments.output)
weights = f"{arguments.output}/Data/com.apple.CoreML/weights/weight.bin"
print(json.dumps({
    "peer": f"coremltools {ct.__version__}", "bits": arguments.bits or 16, "trace seconds": round(traced_after, 1),
    "seconds": round(time.perf_counter() - start, 1), "bytes": os.path.getsize(weights),
    "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}))
