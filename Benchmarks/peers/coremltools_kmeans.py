"""k-means palettes of one tensor by coremltools, as its `palettize_weights` makes them. A line of JSON for each width."""
import argparse
import json
import statistics
import time

import numpy as np
import coremltools
from coremltools.optimize.coreml._quantization_passes import palettize_weights

arguments = argparse.ArgumentParser()
arguments.add_argument("--weights", required=True, help="a file that `sdtune benchmark kmeans --weights` wrote")
arguments.add_argument("--bits", type=int, nargs="+", default=[2, 4, 6, 8])
arguments.add_argument("--runs", type=int, default=1)
arguments = arguments.parse_args()

weights = np.fromfile(arguments.weights, np.float32).astype(np.float16)
weights = weights.reshape(1000, -1)
for bits in arguments.bits:
    seconds = []
    for _ in range(arguments.runs):
        start = time.perf_counter()
        found = palettize_weights.blockwise_compress(weights, "KMEANS", bits, [0, 0])
        seconds.append(time.perf_counter() - start)
    difference = weights.astype(np.float64) - found.lut.astype(np.float64).reshape(-1)[found.indices.reshape(weights.shape)]
    print(json.dumps({
        "peer": f"coremltools {coremltools.__version__}", "bits": bits, "seconds": round(statistics.median(seconds), 3),
        "squaredError": float((difference**2).sum())}))
