"""Writes the fixtures beside this script and in WeightFilesTests/Fixtures with the reference implementations.

    /opt/venv/bin/python Tests/CheckpointsTests/Fixtures/make_fixtures.py

Element i of every float tensor is (i - 3) / 4, which all float formats hold exactly.
"""

import json
import pathlib
import shutil

import h5py
import numpy
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
WEIGHTS = HERE.parent.parent / "WeightFilesTests/Fixtures"
DIFFUSERS = "diffusion_pytorch_model"


def ramp(*shape, dtype=torch.float32):
    count = 1
    for extent in shape:
        count *= extent
    return ((torch.arange(count, dtype=torch.float64) - 3) / 4).reshape(shape).to(dtype)


def weights(dtype):
    return {
        "conv_in.weight": ramp(2, 3, 1, 1, dtype=dtype),
        "conv_in.bias": ramp(2, dtype=dtype),
        "mid_block.attentions.0.to_q.weight": ramp(4, 3, dtype=dtype),
    }


def folder(name):
    path = WEIGHTS / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def save(path, tensors):
    save_file(tensors, path, metadata={"format": "pt"})


def shards(path, dtype, variant):
    """One tensor a shard, named as diffusers and transformers name shards and index."""
    tensors = weights(dtype)
    places = {}
    for index, (name, tensor) in enumerate(sorted(tensors.items())):
        file = f"{DIFFUSERS}{variant}-{index + 1:05d}-of-{len(tensors):05d}.safetensors"
        save(path / file, {name: tensor})
        places[name] = file
    index = f"{DIFFUSERS}.safetensors.index{variant}.json"
    (path / index).write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": places}, indent=2) + "\n")


save(WEIGHTS / "types.safetensors", {
    "F64": ramp(2, 3, dtype=torch.float64),
    "F32": ramp(2, 3),
    "F16": ramp(2, 3, dtype=torch.float16),
    "BF16": ramp(2, 3, dtype=torch.bfloat16),
    "I64": torch.tensor([-(2**62), -1, 0, 2**62]),
    "I32": torch.tensor([[-(2**31)], [2**31 - 1]], dtype=torch.int32),
    "U8": torch.tensor([0, 128, 255], dtype=torch.uint8),
    "I8": torch.tensor([-128, 0, 127], dtype=torch.int8),
    "BOOL": torch.tensor([True, False, True]),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
})
save(folder("whole") / f"{DIFFUSERS}.safetensors", weights(torch.float32))
save(folder("brain-float") / "model.safetensors", weights(torch.bfloat16))
save(folder("variant") / f"{DIFFUSERS}.fp16.safetensors", weights(torch.float16))
both = folder("both")
save(both / "model.safetensors", weights(torch.float32))
save(both / "model.fp16.safetensors", weights(torch.float16))
shards(folder("sharded"), torch.float32, "")
shards(folder("sharded-variant"), torch.float16, ".fp16")

# Laid out as the latents of a data set; big-endian, compressed and half-precision on purpose.
with h5py.File(HERE / "plain.h5", "w") as file:
    file.attrs.update(model="emoji-sd", resolution=64, scaling_factor=0.43492)
    file.attrs["fixed"] = numpy.bytes_("text")
    file.attrs["several"] = [1, 2]
    latents = ramp(2, 4, 3, 3).numpy()
    stored = file.create_dataset("train/latents", data=latents.astype(">f4"), compression="gzip")
    stored.attrs["unit"] = "latent"
    file["train/input_ids"] = numpy.array([[0, 1, 2], [3, 4, -5]], "i4")
    file["train/file_name"] = ["a.png", "b.png"]
    file["val/latents"] = latents[:1].astype("f2")
    file["empty_input_ids"] = numpy.full(3, 9, ">i8")

# Data that lies in other files must not be read. The other files in `hostile` are plain.h5 with one to three bytes
# changed at random, kept because HDF5 1.10 crashes on them or never ends.
hostile = HERE / "hostile"
hostile.mkdir(exist_ok=True)
with h5py.File(hostile / "link.h5", "w") as file:
    file["val"] = h5py.ExternalLink("../plain.h5", "/val")
with h5py.File(hostile / "external.h5", "w") as file:
    file.create_dataset("val/latents", (1, 4, 3, 3), "f4", external=[("../make_fixtures.py", 0, 144)])
with h5py.File(hostile / "virtual.h5", "w") as file:
    layout = h5py.VirtualLayout((1, 4, 3, 3), "f4")
    layout[...] = h5py.VirtualSource("../plain.h5", "val/latents", (1, 4, 3, 3))
    file.create_virtual_dataset("val/latents", layout)
with h5py.File(hostile / "circle.h5", "w") as file:
    file["val"] = h5py.SoftLink("/val")
