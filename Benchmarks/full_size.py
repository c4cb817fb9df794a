#!/usr/bin/env python3
"""Every figure at full size beside its peer, in turn on one machine: a table with ratios and bars, and JSON.

    python3 Benchmarks/full_size.py [--size sd15|half|quarter|sdxl] [--folder DIR] [--only WORK,…]

Works: step, share, eight-bit, streamed, ranks, runner, half, openvino, cpp, vae, products. A peer that is not installed is left out:
--python names one with torch and diffusers, openvino and nncf; --sd-cli stable-diffusion.cpp's program; --mpi-program
an sdtune that `make build MPI=1` made. sd15 needs 12 GB of disk and 12 GiB of memory, torch's step 15.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--size", default="sd15", choices=["sd15", "half", "quarter", "sdxl"])
parser.add_argument("--folder", help="for models, packages and figures (default: .build/benchmark)")
parser.add_argument("--program", default=os.path.join(HERE, "../.build/release/sdtune"))
parser.add_argument("--python", default=os.environ.get("PYTHON") or sys.executable, help="with the peers")
parser.add_argument("--sd-cli")
parser.add_argument("--mpi-program")
parser.add_argument("--only", default="", help="works, separated by commas")
parser.add_argument("--rounds", type=int, default=3, help="of runs in turn with a peer")
arguments = parser.parse_args()

FOLDER = os.path.abspath(arguments.folder or os.path.join(HERE, "../.build/benchmark"))
MODEL = f"{FOLDER}/{arguments.size}"
INPUTS = f"{MODEL}/package-inputs.safetensors"
ROWS = []


def installed(module):
    return not subprocess.run([arguments.python, "-c", f"import {module}"], capture_output=True).returncode


def json_lines(*command):
    """What a command prints as JSON: values of a line each, or a last one over several lines."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-800:]}")
    _, opening, rest = f"\n{done.stdout}".rpartition("\n{\n")
    if opening:
        return [json.loads(opening + rest)]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def peer(script, *options):
    return json_lines(arguments.python, f"{HERE}/peers/{script}", *options)


def row(work, ours, theirs=None, bar="", unit="s", memory=None):
    """A line of the table. `ours` and `theirs` are figures in turn; `memory` is GiB, ours and theirs."""
    ratio = statistics.median(ours) / statistics.median(theirs) if theirs else None
    figures = {"work": work, "ours": ours, "theirs": theirs, "ratio": ratio, "bar": bar, "unit": unit, "memory": memory}
    ROWS.append(figures)

    def shown(values):
        return ", ".join(f"{value:.3g}" for value in values) + f" {unit}" if values else ""

    gib = ", ".join(f"{value:.2f}" for value in memory) + " GiB" if memory else ""
    share = f" ({memory[0] / memory[1]:.2f})" if memory and len(memory) > 1 else ""
    print(f"| {work} | {shown(ours)} | {shown(theirs)} | {f'{ratio:.2f}' if ratio else ''} | {bar} | {gib}{share} |", flush=True)


def steps(name, bits=4, count=3, size=arguments.size, batch=1, launcher=(), program=None, **training):
    """Seconds, shares of palettes and the peak in GiB of the first steps of a run, which is stopped after them."""
    recipe = {
        "name": name, "model": size, "data": f"{size}/latents.h5", "seed": 20,
        "clustering": {"bits": bits, "hardShare": 0, "polishShare": 0},
        "training": {"steps": count, "batchSize": batch, "learningRate": 1e-5, "moments": "bfloat16", "gradientNorm": 0,
                     "recompute": False, **training},
        "evaluation": {"pictures": 1, "timesteps": [500]}}
    path, output = f"{FOLDER}/{name}.json", f"{FOLDER}/{name}-run"
    shutil.rmtree(output, ignore_errors=True)
    with open(path, "w") as file:
        json.dump(recipe, file)
    with open(f"{FOLDER}/{name}.log", "w") as log:
        run = subprocess.Popen(
            [*launcher, program or arguments.program, "--recipe", path, "--output", output], stdout=log, stderr=log,
            start_new_session=True)
    lines, peak = [], 0
    while run.poll() is None and len(lines) < count:
        time.sleep(0.2)
        peak = max(peak, highest_memory(run.pid))
        if os.path.exists(f"{output}/log.jsonl"):
            with open(f"{output}/log.jsonl") as file:
                lines = [json.loads(line) for line in file if line.endswith("}\n") and '"secondsPerStep"' in line]
    if len(lines) < count:
        with open(f"{FOLDER}/{name}.log") as file:
            raise SystemExit(f"{name}: ended before {count} steps\n{file.read()[-800:]}")
    # Of several processes the launcher ends the others; one alone would write its checkpoint first.
    run.send_signal(signal.SIGTERM if launcher else signal.SIGKILL)
    run.wait()
    shutil.rmtree(output)
    totals = ([line[key] for line in lines] for key in ("seconds", "clusteringSeconds"))
    seconds, clustering = ([b - a for a, b in zip([0, *values], values)] for values in totals)
    return seconds, [100 * part / whole for part, whole in zip(clustering, seconds)], peak


def highest_memory(process):
    """GiB."""
    try:
        with open(f"/proc/{process}/status") as file:
            return next((int(line.split()[1]) / 2**20 for line in file if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def model(size=arguments.size):
    if not os.path.exists(f"{FOLDER}/{size}/latents.h5"):
        json_lines(arguments.program, "benchmark", "model", "--size", size, "--output", f"{FOLDER}/{size}", "--json")


def package(name, *options):
    """The path of a package of the model's component, converted now if it is not there."""
    output = f"{FOLDER}/{name}"
    json_lines(arguments.program, "convert", "--model", MODEL, "--output", output, "--json", *options)
    return next(f"{output}/{entry}" for entry in sorted(os.listdir(output)) if entry.endswith(".mlpackage"))


def unet_package():
    return package(f"{arguments.size}-4bit", "--components", "unet", "--quantize-nbits", "4")


def in_turn(*runs):
    """For each of several commands its figures of every round."""
    return [list(rounds) for rounds in zip(*([run() for run in runs] for _ in range(arguments.rounds)))]


def run_package(path, inputs=INPUTS):
    return lambda: json_lines(arguments.program, "benchmark", "package", path, "--inputs", inputs, "--json")[0]


def seconds(figures):
    return [figure["seconds"] for figure in figures]


def peak(figures):
    return max(figure["peakGiB"] for figure in figures)


def step():
    ours, share, memory = steps("step-4bit", moments="8-bit" if arguments.size == "sdxl" else "bfloat16")
    plain = peer("torch_unet.py", "--model", MODEL, "--batch", "1", "--train", "--runs", "3") if has_torch else []
    again, more, _ = steps("step-4bit", moments="8-bit" if arguments.size == "sdxl" else "bfloat16")
    row("training step, 4-bit palettes, teacher's pass included; torch: plain step with Adam, median of three", ours + again,
        seconds(plain), "0.65; 12 GiB", memory=[memory, *map(peak, [plain] if plain else [])])
    row("palettes' share of it", share + more, bar="10 %", unit="%")


def share():
    row("palettes' share of the step, 2 bits", steps("step-2bit", bits=2, count=5)[1], bar="8 %", unit="%")


def eight_bit():
    ours, _, memory = steps("step-8-bit-moments", moments="8-bit", count=2)
    row("training step with 8-bit moments", ours, bar="8 GiB", memory=[memory])


def streamed():
    ours, _, memory = steps("step-streamed", moments="8-bit", state="file", recompute=True, count=2)
    row("training step with everything on: state in a file, recomputation", ours, memory=[memory])


def ranks():
    """Of a quarter of the model: its throughput is what counts."""
    if not arguments.mpi_program:
        return
    model("quarter")
    common = {"size": "quarter", "batch": 2, "count": 5, "program": arguments.mpi_program}
    two, one = [], []
    for _ in range(arguments.rounds):
        two += steps("two-ranks", launcher=["mpirun", "--allow-run-as-root", "--bind-to", "none", "-n", "2"], **common)[0][1:]
        one += steps("one-process", **common)[0][1:]
    row("two processes against one of two threads, a quarter of the weights, batch 2", two, one, "below 1.11")


def runner():
    path = unet_package()
    peers = [lambda: peer("torch_unet.py", "--model", MODEL, "--batch", "2")[0]] if has_torch else []
    ours, *theirs = in_turn(run_package(path), *peers)
    row("4-bit package, batch 2; torch, single precision", seconds(ours), seconds(theirs[0]) if theirs else None, "0.65; a quarter",
        memory=[peak(ours), *map(peak, theirs)])
    row("loading it", [figure["loadSeconds"] for figure in ours], bar="1 s")


def half():
    path, whole = unet_package(), package(f"{arguments.size}-half", "--components", "unet")
    ours, theirs = in_turn(run_package(path), run_package(whole))
    row("4-bit package, batch 2; our own runner, half precision", seconds(ours), seconds(theirs), "1.03",
        memory=[peak(ours), peak(theirs)])


def openvino():
    if not installed("openvino"):
        return
    path = unet_package()
    kinds = ["f16"] + (["int8", "int4"] if installed("nncf") else [])
    ours = {kind: [] for kind in kinds}
    theirs = {kind: [] for kind in kinds}
    for _ in range(arguments.rounds):
        for kind in kinds:
            ours[kind].append(run_package(path)())
            # Whichever of its precisions of arithmetic is faster.
            found = peer("openvino_unet.py", "--model", MODEL, "--folder", f"{FOLDER}/{arguments.size}-openvino", "--weights", kind)
            theirs[kind].append(min(found, key=lambda figure: figure["seconds"]))
    for kind in kinds:
        row(f"4-bit package, batch 2; OpenVINO, {kind} weights, its faster precision", seconds(ours[kind]), seconds(theirs[kind]),
            "below 1; a quarter", memory=[peak(ours[kind]), peak(theirs[kind])])


def cpp():
    if not (arguments.sd_cli and has_torch):
        return
    vae()
    ours = run_package(unet_package())()
    found = peer("stable_diffusion_cpp.py", "--program", arguments.sd_cli, "--model", MODEL, "--folder", f"{FOLDER}/cpp")
    for figure in found:
        if figure["failed"]:
            print(f"stable-diffusion.cpp {figure['type']} failed: {figure['failed'][-200:]}", file=sys.stderr)
            continue
        row(f"4-bit package, batch 2; stable-diffusion.cpp {figure['type']}, a step with guidance", seconds([ours]),
            seconds([figure]), "below 1; a half", memory=[peak([ours]), peak([figure])])


def vae():
    if not has_torch:
        return
    theirs = [peer("torch_vae.py", "--model", MODEL)[0]]
    path = package(f"{arguments.size}-vae", "--components", "vae-decoder")
    ours = []
    for _ in range(arguments.rounds):
        ours.append(run_package(path, f"{MODEL}/vae-inputs.safetensors")())
        theirs.append(peer("torch_vae.py", "--model", MODEL)[0])
    row("VAE decoder, 512×512, half-precision package; torch", seconds(ours), seconds(theirs), "0.7; a third",
        memory=[peak(ours), peak(theirs)])


def products():
    kinds = json_lines(arguments.program, "benchmark", "step", MODEL, "--json")[0]
    for kind, work in sorted(kinds.items()):
        row(f"all products of the step: {kind}; OpenBLAS's of the same shapes", [work["seconds"]], [work["productSeconds"]],
            "1.18" if kind == "all" else "")


has_torch = installed("torch, diffusers")
works = {"step": step, "share": share, "eight-bit": eight_bit, "streamed": streamed, "ranks": ranks, "runner": runner,
         "half": half, "openvino": openvino, "cpp": cpp, "vae": vae, "products": products}
chosen = [name for name in arguments.only.split(",") if name] or list(works)
if unknown := set(chosen) - set(works):
    parser.error(f"--only: expected some of {', '.join(works)}, found {', '.join(sorted(unknown))}")
os.makedirs(FOLDER, exist_ok=True)
model()
print("| work | sdtune | peer | ratio | bar | peak memory |\n|---|---|---|---|---|---|")
for name in chosen:
    works[name]()
with open(f"{FOLDER}/{arguments.size}-figures.json", "w") as file:
    json.dump(ROWS, file, indent=1)
