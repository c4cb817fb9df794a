"""How a training step grows with weights, resolution and batch: jobs of three steps, and a plot of them.

    python3 Benchmarks/growth.py --folder .build/benchmark/growth --plot docs/growth.svg

Figures are kept in the folder, so that a second start draws without running. Needs matplotlib.
"""
import argparse
import json
import os
import shutil
import subprocess

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sdtune", "font.size": 9})
import matplotlib.pyplot as plot

arguments = argparse.ArgumentParser()
arguments.add_argument("--program", default=".build/release/sdtune")
arguments.add_argument("--folder", required=True, help="for models, runs and figures; 12 GB with sd15")
arguments.add_argument("--plot", required=True, help="an SVG")
arguments.add_argument("--sizes", default="quarter,half,sd15")
arguments = arguments.parse_args()
MILLION_WEIGHTS = {"quarter": 55, "half": 217, "sd15": 860}


def run(*words):
    subprocess.run([arguments.program, *words], check=True, stdout=subprocess.DEVNULL)


def measured(size, latents, batch):
    """Seconds a step, the mean of three, and GiB at the job's peak."""
    name = f"{size}-{latents}-{batch}"
    kept = f"{arguments.folder}/{name}.figures.json"
    if not os.path.exists(kept):
        model = f"{size}-{latents}"
        if not os.path.exists(f"{arguments.folder}/{model}"):
            run("benchmark", "model", "--size", size, "--latents", str(latents), "--output",
                f"{arguments.folder}/{model}")
        recipe = {
            "name": name, "model": model, "data": f"{model}/latents.h5", "seed": 20,
            "clustering": {"bits": 4, "hardShare": 0, "polishShare": 0},
            "training": {"steps": 3, "batchSize": batch, "moments": "bfloat16", "gradientNorm": 0, "recompute": False},
            "evaluation": {"pictures": 1, "timesteps": [500]}}
        with open(f"{arguments.folder}/{name}.json", "w") as file:
            json.dump(recipe, file)
        output = f"{arguments.folder}/{name}-run"
        run("--recipe", f"{arguments.folder}/{name}.json", "--output", output)
        with open(f"{output}/report.json") as file:
            figures = json.load(file)["run"]
        shutil.rmtree(output)
        with open(kept, "w") as file:
            json.dump({key: figures[key] for key in ("secondsPerStep", "peakMemoryBytes")}, file)
    with open(kept) as file:
        figures = json.load(file)
    return figures["secondsPerStep"], figures["peakMemoryBytes"] / 2**30


def draw(axes, title, xs, points):
    """Seconds and GiB against what grows, both logarithmic."""
    for values, colour, unit in ((list(column), *rest) for column, *rest in zip(
            zip(*points), ("#2563eb", "#dc2626"), ("seconds a step", "GiB at the peak"))):
        axes.plot(xs, values, "o-", color=colour, label=unit)
        for x, y in zip(xs, values):
            axes.annotate(f"{y:.2g}", (x, y), (0, 6), textcoords="offset points", ha="center", color=colour)
    axes.set(title=title, xscale="log", yscale="log")
    axes.set_xticks(xs, [str(x) for x in xs])
    axes.minorticks_off()
    axes.margins(0.15, 0.2)


os.makedirs(arguments.folder, exist_ok=True)
sizes = arguments.sizes.split(",")
panels = {
    "million weights\n64×64 latents, batch 1": ([MILLION_WEIGHTS[size] for size in sizes],
                                                 [measured(size, 64, 1) for size in sizes]),
    "side of the latents\n55 million weights, batch 1": ([32, 64, 96, 128],
                                                          [measured("quarter", side, 1) for side in (32, 64, 96, 128)]),
    "batch\n55 million weights, 64×64 latents": ([1, 2, 4, 8],
                                                  [measured("quarter", 64, batch) for batch in (1, 2, 4, 8)]),
}
figure, places = plot.subplots(1, len(panels), figsize=(10, 3.2), layout="constrained")
for place, (title, (xs, points)) in zip(places, panels.items()):
    draw(place, title, xs, points)
    print(title.replace("\n", ", "), *(f"{x}: {s:.2f} s, {g:.2f} GiB;" for x, (s, g) in zip(xs, points)))
places[0].legend(frameon=False)
figure.savefig(arguments.plot, metadata={"Date": None})
