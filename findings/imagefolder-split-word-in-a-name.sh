#!/usr/bin/env bash
# datasets' imagefolder: one picture called "test tubes.png" makes all the others disappear.
#
# Versions: datasets 5.2.0, Pillow 13.0.0 (Python 3.11).
#
# What happens: the words train, test, testing, val, valid, dev, eval and their like name a split wherever they stand as a
# word: in folders' names, else in files' names. As soon as one name holds such a word, only pictures whose names hold one
# are loaded. There is no "rest", no warning and no error.
#
# Why it surprises: three pictures lie in one folder and none of them is meant as a split. One would expect three pictures in
# "train", as there are two before the third comes, or at least "test tubes" in "test" and the others in "train".
# One "toy_train.png" among ten thousand photos is the whole training set.
#
# Seen on 28 November 2026:
#   cat.png and dog.png:            {'train': ['cat.png', 'dog.png']}
#   test tubes.png beside them:     {'test': ['test tubes.png']}
#   renamed to tubes for tests.png: {'train': ['cat.png', 'dog.png', 'tubes for tests.png']}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
cd "$folder"
HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 venv/bin/python - <<'END'
import os
import sys

import datasets
from PIL import Image

datasets.disable_progress_bars()


def loaded(folder, names):
    os.mkdir(folder)
    for name in names:
        Image.new("RGB", (8, 8)).save(f"{folder}/{name}")
    found = datasets.load_dataset("imagefolder", data_dir=folder)
    paths = {split: found[split].cast_column("image", datasets.Image(decode=False))["image"] for split in found}
    return {split: sorted(os.path.basename(picture["path"]) for picture in paths[split]) for split in paths}


two = loaded("two", ["cat.png", "dog.png"])
three = loaded("three", ["cat.png", "dog.png", "test tubes.png"])
renamed = loaded("renamed", ["cat.png", "dog.png", "tubes for tests.png"])
print("cat.png and dog.png:           ", two)
print("test tubes.png beside them:    ", three)
print("renamed to tubes for tests.png:", renamed)
if three != {"test": ["test tubes.png"]} or sum(map(len, renamed.values())) != 3:
    sys.exit("no longer so")
END
