#!/usr/bin/env bash
# datasets' imagefolder: captions in the root's metadata.jsonl are ignored when the folders are called train and val, and
# labels that nobody wrote come instead: null for every picture of "train".
#
# Versions: datasets 5.2.0, Pillow 13.0.0 (Python 3.11).
#
# What happens: the same files with the same metadata.jsonl give a column "text" if the two folders are called "one" and
# "two". Called "train" and "val", they become splits, the metadata above them belongs to neither, and the names of the
# folders are taken for class labels, though they have just been used up as the splits' names. Labels are decided on split by
# split while the set of names grows, so "train", the first, has one name only and gets null; "val" gets the label "val".
#
# Why it surprises: metadata.jsonl names each picture by its path. One would expect a caption for both, or an error
# that the metadata was not used.
#
# Seen on 28 November 2026:
#   folders one, two:   train [{'text': 'A red square'}, {'text': 'A blue square'}]
#   folders train, val: train [{'label': None}] of classes ['train', 'val']
#   folders train, val: validation [{'label': 1}] of classes ['train', 'val']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
cd "$folder"
HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 venv/bin/python - <<'END'
import json
import os
import sys

import datasets
from PIL import Image

datasets.disable_progress_bars()


def loaded(*folders):
    root = "-".join(folders)
    with_captions = []
    for folder, colour in zip(folders, ("red", "blue")):
        os.makedirs(f"{root}/{folder}")
        Image.new("RGB", (8, 8), colour).save(f"{root}/{folder}/square.png")
        with_captions.append({"file_name": f"{folder}/square.png", "text": f"A {colour} square"})
    with open(f"{root}/metadata.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in with_captions)
    return datasets.load_dataset("imagefolder", data_dir=root)


def rows(split):
    return list(split.remove_columns("image"))


plain = loaded("one", "two")
print("folders one, two:   train", rows(plain["train"]))
splits = loaded("train", "val")
for name, split in splits.items():
    print("folders train, val:", name, rows(split), "of classes", split.features["label"].names if "label" in split.features else None)
if len(plain["train"]["text"]) != 2 or rows(splits["train"]) != [{"label": None}] or rows(splits["validation"]) != [{"label": 1}]:
    sys.exit("no longer so")
END
