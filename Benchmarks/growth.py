"""How a training step grows with parameters, resolution and batch: runs jobs of three steps and draws a plot of them.

    python3 Benchmarks/growth.py --folder .build/benchmark/growth --plot docs/growth.svg
"""
import argparse
import json
import math
import os
import subprocess

arguments = argparse.ArgumentParser()
arguments.add_argument("--program", default=".build/release/sdtune")
arguments.add_argument("--folder", required=True, help="for models and runs")
arguments.add_argument("--plot", required=True, help="an SVG")
arguments.add_argument("--sizes", default="quarter,half", help="and sd15, where 8 GB of disk are free")
arguments = arguments.parse_args()


def measured(size, latents, batch):
    """Seconds a step and GiB at the peak."""
    name = f"{size}-{latents}-{batch}"
    model = f"{arguments.folder}/{size}-{latents}"
    if not os.path.exists(model):
        subprocess.run([arguments.program, "benchmark", "model", "--size", size, "--latents", str(latents),
                        "--batch", "2", "--output", model], check=True, capture_output=True)
    recipe = {
        "name": name, "model": os.path.basename(model), "data": os.path.basename(model) + "/latents.h5", "seed": 20,
        "clustering": {"bits": 4, "hardShare": 0, "polishShare": 0},
        "training": {"steps": 3, "batchSize": batch, "moments": "bfloat16", "gradientNorm": 0, "recompute": True},
        "evaluation": {"pictures": 1, "timesteps": [500]}}
    with open(f"{arguments.folder}/{name}.json", "w") as file:
        json.dump(recipe, file)
    run = f"{arguments.folder}/{name}-run"
    subprocess.run([arguments.program, "--recipe", f"{arguments.folder}/{name}.json", "--output", run],
                   check=True, capture_output=True)
    with open(f"{run}/report.json") as file:
        report = json.load(file)
    subprocess.run(["rm", "-r", run])
    return report["run"]["secondsPerStep"], report["run"]["peakMemoryBytes"] / 2**30


def panel(title, left, points):
    """Both axes logarithmic; every point is (where, seconds, GiB)."""
    xs = [math.log(x) for x, _, _ in points]
    span = (max(xs) - min(xs)) or 1
    lines = [f'<text x="{left + 110}" y="20" text-anchor="middle">{title}</text>']
    for index, (colour, unit) in enumerate((("#2563eb", "s"), ("#dc2626", "GiB"))):
        values = [math.log10(point[index + 1]) for point in points]
        low, high = math.floor(min(values)), math.ceil(max(values) + 1e-9)
        place = [(left + 30 + 160 * (x - min(xs)) / span, 200 - 160 * (y - low) / max(1, high - low))
                 for x, y in zip(xs, values)]
        lines.append(f'<polyline fill="none" stroke="{colour}" points="' + " ".join(f"{x:.0f},{y:.0f}" for x, y in place) + '"/>')
        for (x, y), point in zip(place, points):
            lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>')
            lines.append(f'<text x="{x:.0f}" y="{y - 7:.0f}" fill="{colour}" text-anchor="middle">{point[index + 1]:.2g} {unit}</text>')
    for x, (where, _, _) in zip(xs, points):
        lines.append(f'<text x="{left + 30 + 160 * (x - min(xs)) / span:.0f}" y="222" text-anchor="middle">{where:g}</text>')
    return lines


os.makedirs(arguments.folder, exist_ok=True)
weights = {"quarter": 55, "half": 217, "sd15": 860}
panels = {
    "million weights": [(weights[size], *measured(size, 64, 1)) for size in arguments.sizes.split(",")],
    "latents, side (quarter)": [(side, *measured("quarter", side, 1)) for side in (32, 64, 96)],
    "batch (quarter)": [(batch, *measured("quarter", 64, batch)) for batch in (1, 2, 4)],
}
print(json.dumps(panels))
drawing = ['<svg xmlns="http://www.w3.org/2000/svg" width="720" height="240" font-family="sans-serif" font-size="11">',
           '<rect width="720" height="240" fill="white"/>']
for number, (title, points) in enumerate(panels.items()):
    drawing += panel(title, 240 * number, points)
with open(arguments.plot, "w") as file:
    file.write("\n".join(drawing + ["</svg>"]) + "\n")
