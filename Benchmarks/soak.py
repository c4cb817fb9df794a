#!/usr/bin/env python3
"""A long run, and whether anything grows with its steps: memory, open files, threads, temporary files.

    python3 Benchmarks/soak.py [--steps 20000] [--folder DIR] [--plot docs/soak.svg]

The bundled model is tuned with a checkpoint every 100 steps of two pictures.
What the process has is read from /proc every ten seconds. It fails where the last third of a phase (soft, hard, polish) has more
of anything than its middle third: of memory by more than 2 %. Needs matplotlib for the plot.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..")
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", default=f"{ROOT}/.build/release/sdtune")
parser.add_argument("--steps", type=int, default=20000)
parser.add_argument("--seconds", type=float, default=10, help="between two samples")
parser.add_argument("--folder", default=f"{ROOT}/.build/benchmark-soak")
parser.add_argument("--plot", help="an SVG")
arguments = parser.parse_args()
if arguments.steps < 4000:
    parser.error("--steps: expected 4000 or more, so that each phase's first checkpoint is not taken for growth")

# Allowed growth, as a share: memory also moves with what the allocator returns.
LIMITS = {"resident memory, MiB": 0.02, "open files": 0, "threads": 0, "temporary files": 0}
OUTPUTS = {"state.h5", "log.jsonl", ".lock"}


def leftovers(*folders):
    return sum(name not in OUTPUTS for folder in folders for _, _, names in os.walk(folder) for name in names)


def sample(process, run, temporary):
    """What the process has now, or None where it has ended."""
    try:
        with open(f"/proc/{process.pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        opened = len(os.listdir(f"/proc/{process.pid}/fd"))
        resident, threads = (int(status[key].split()[0]) for key in ("VmRSS", "Threads"))
    except (FileNotFoundError, KeyError, ProcessLookupError):
        return None
    if not os.path.exists(f"{run}/log.jsonl"):
        return None
    with open(f"{run}/log.jsonl", "rb") as file:
        # What follows the last line end is a line under way.
        lines = file.read().split(b"\n")[:-1]
    phase = json.loads(lines[-1])["phase"] if lines else None
    # A checkpoint under way has a file of its own: medians do not see it.
    return {"step": len(lines), "phase": phase, "resident memory, MiB": resident / 1024, "open files": opened,
            "threads": threads, "temporary files": leftovers(temporary, run)}


def watched():
    shutil.rmtree(arguments.folder, ignore_errors=True)
    run, temporary = f"{arguments.folder}/run", f"{arguments.folder}/tmp"
    os.makedirs(temporary)
    settings = [f"training.steps={arguments.steps}", "training.checkpointEvery=100", "evaluation.pictures=1"]
    words = [arguments.program, "--recipe", f"{ROOT}/recipes/smoke.json", "--output", run]
    with open(f"{arguments.folder}/output", "w") as output:
        process = subprocess.Popen(
            words + [word for setting in settings for word in ("--set", setting)], stdout=output, stderr=output,
            env={**os.environ, "TMPDIR": temporary})
        samples, started = [], time.time()
        while process.poll() is None:
            time.sleep(arguments.seconds)
            found = sample(process, run, temporary)
            # Before the first step, and behind the last, other work is done.
            if found and 0 < found["step"] < arguments.steps:
                samples.append({"minutes": (time.time() - started) / 60, **found})
    if process.returncode:
        sys.exit(f"{' '.join(words)}: status {process.returncode}; see {arguments.folder}/output")
    with open(f"{arguments.folder}/samples.json", "w") as file:
        json.dump(samples, file)
    return samples


def draw(samples):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sdtune", "font.size": 9})
    import matplotlib.pyplot as plot

    figure, places = plot.subplots(1, len(LIMITS), figsize=(11, 2.6), layout="constrained")
    for place, name in zip(places, LIMITS):
        place.plot([s["step"] for s in samples], [s[name] for s in samples], color="#2563eb", linewidth=1)
        place.set(title=name, xlabel="step", ylim=(0, 1.2 * max(1, *(s[name] for s in samples))))
    figure.savefig(arguments.plot, metadata={"Date": None})


samples = watched()
if arguments.plot:
    draw(samples)
grown = False
for phase in dict.fromkeys(s["phase"] for s in samples):
    part = [s for s in samples if s["phase"] == phase]
    third = len(part) // 3
    if third < 3:
        sys.exit(f"{phase}: {len(part)} samples are too few: take more --steps")
    for name, limit in LIMITS.items():
        early, late = (statistics.median(s[name] for s in some) for some in (part[third:2 * third], part[2 * third:]))
        print(f"{phase}: {name}: {early:.1f} early, {late:.1f} late, {max(s[name] for s in part):.1f} at most")
        grown = grown or late > early * (1 + limit)
print(f"{arguments.steps} steps in {samples[-1]['minutes']:.0f} minutes, {len(samples)} samples")
sys.exit("something grows with the steps" if grown else 0)
