"""A UNet of random weights in OpenVINO. One line of JSON for each precision of arithmetic."""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True, help="a folder that `sdtune benchmark model` wrote")
arguments.add_argument("--folder", required=True, help="where OpenVINO's own form of it goes, or is already")
arguments.add_argument("--batch", type=int, default=2)
arguments.add_argument("--runs", type=int, default=3)
arguments.add_argument("--weights", default="f16", choices=["f16", "int8", "int4"], help="what they are stored as; all but f16 by NNCF")
arguments.add_argument("--precision", help="run with this INFERENCE_PRECISION_HINT; without it f32 and OpenVINO's own choice")
arguments = arguments.parse_args()
import openvino as ov

path = f"{arguments.folder}/{arguments.weights}.xml"
configuration = json.load(open(arguments.model + "/unet/config.json"))
side, width = configuration["sample_size"], configuration["cross_attention_dim"]
shapes = [(arguments.batch, 4, side, side), (arguments.batch,), (arguments.batch, 77, width)]


def convert():
    import torch
    from diffusers import UNet2DConditionModel

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = UNet2DConditionModel.from_pretrained(arguments.model, subfolder="unet").eval()

        def forward(self, sample, timestep, states):
            return self.unet(sample, timestep, states, return_dict=False)[0]

    with torch.no_grad():
        model = ov.convert_model(Plain(), example_input=tuple(torch.rand(shape) for shape in shapes))
    os.makedirs(arguments.folder, exist_ok=True)
    if arguments.weights != "f16":
        import nncf

        modes = {"int8": nncf.CompressWeightsMode.INT8_SYM, "int4": nncf.CompressWeightsMode.INT4_SYM}
        model = nncf.compress_weights(model, mode=modes[arguments.weights], **({"group_size": 64} if arguments.weights == "int4" else {}))
    ov.save_model(model, path, compress_to_fp16=True)


def measure():
    import numpy as np

    core = ov.Core()
    model = core.read_model(path)
    model.reshape(dict(zip(model.inputs, shapes)))
    hints = {} if arguments.precision == "default" else {"INFERENCE_PRECISION_HINT": arguments.precision}
    start = time.perf_counter()
    request = core.compile_model(model, "CPU", {**hints, "PERFORMANCE_HINT": "LATENCY"}).create_infer_request()
    load = time.perf_counter() - start
    inputs = [np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in shapes]
    seconds = []
    for _ in range(arguments.runs + 1):
        start = time.perf_counter()
        request.infer(inputs)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "peer": f"openvino {ov.__version__.split('-')[0]}", "weights": arguments.weights, "precision": arguments.precision, "batch": arguments.batch,
        "load seconds": round(load, 1), "seconds": round(statistics.median(seconds[1:]), 2),
        "peakGiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}))


if arguments.precision:
    measure()
else:
    if not os.path.exists(path):
        convert()
    for precision in ("f32", "default"):
        # A process each: peaks of memory do not fall.
        subprocess.run([sys.executable, *sys.argv, "--precision", precision], check=True)
