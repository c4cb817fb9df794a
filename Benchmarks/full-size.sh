#!/bin/sh
# A training step and a run of the package at full size, and torch on the same shapes where it is installed; times of
# whole processes and their peak memory. Needs 4 GB of disk, 12 GiB of memory (torch: 16) and some minutes.
#
#   Benchmarks/full-size.sh [SIZE] [FOLDER]      SIZE: sd15 (default), half, quarter
#   PYTHON=… with torch and diffusers for the peers
set -eu
size=${1:-sd15}
folder=${2:-.build/benchmark/$size}
bin=$(cd "$(dirname "$0")/.." && pwd)/.build/release
mkdir -p "$folder"

measured() {  # NAME COMMAND…: one line a process
  name=$1
  shift
  /usr/bin/time -f "$name: %e s, %U s of both processors' time, %M KiB at its peak" -o "$folder/time" "$@" \
    > "$folder/$name.log" 2>&1 || { tail -3 "$folder/$name.log"; exit 1; }
  cat "$folder/time"
}

[ -f "$folder/unet/config.json" ] || "$bin/sdtune" benchmark model --size "$size" --output "$folder"
cat > "$folder/recipe.json" <<END
{ "name": "step", "model": "$(basename "$folder")", "data": "$(basename "$folder")/latents.h5", "seed": 20,
  "clustering": {"bits": 4, "hardShare": 0, "polishShare": 0},
  "training": {"steps": 2, "batchSize": 1, "learningRate": 1e-5, "beta2": 0.999, "moments": "${MOMENTS:-bfloat16}",
    "gradientNorm": 0, "recompute": false},
  "export": {"target": "iOS16", "attention": "split-einsum", "batch": 2},
  "evaluation": {"pictures": 1, "timesteps": [500]} }
END
mv "$folder/recipe.json" "$folder/../$size-recipe.json"
recipe="$folder/../$size-recipe.json"

"$bin/sdtune" --recipe "$recipe" --dry-run
measured tune "$bin/sdtune" --recipe "$recipe" --output "$folder/run"
grep -h "s a step" "$folder/tune.log"
measured run "$bin/sdtune" run "$folder/run/Unet.mlpackage" --inputs "$folder/package-inputs.safetensors" \
  --output "$folder/out.safetensors"
"$bin/sdtune" benchmark package "$folder/run/Unet.mlpackage" --inputs "$folder/package-inputs.safetensors" --json
if [ -n "${PYTHON:-}" ]; then
  peers=$(dirname "$0")/peers
  "$PYTHON" "$peers/torch_unet.py" --model "$folder" --batch 2
  "$PYTHON" "$peers/torch_unet.py" --model "$folder" --batch 1 --train
  if "$PYTHON" -c "import openvino" 2>/dev/null; then
    "$PYTHON" "$peers/openvino_unet.py" --model "$folder" --folder "$folder/openvino" 2>/dev/null
  fi
fi
