#!/usr/bin/env bash
# datasets' reader of WebDataset tars: a caption is lost or kept, and a tar read or refused, by what its first five samples hold.
#
# Versions: datasets 5.2.0, webdataset 1.0.2, Pillow 13.0.0 (Python 3.11).
#
# What happens: the columns are those of the first five samples. If these differ, as one picture without a caption does,
# the whole tar is refused. From the sixth sample on anything goes: what is missing is null, and a field that the
# first five do not have ("caption" beside "txt", a mask, a .json) is dropped without a word.
#
# Why it surprises: the order of samples means nothing in this format, and the webdataset library reads either. One would
# expect both orders to give the same rows: null where a field is missing, and no field lost.
#
# Seen on 28 November 2026 (six pictures with txt, one with caption; which comes last makes the difference):
#   caption last:  webdataset 7 samples, texts ['0', '1', '2', '3', '4', '5', 'A dog']
#   caption last:  datasets columns ['png', 'txt'], texts ['0', '1', '2', '3', '4', '5', None]
#   caption first: webdataset 7 samples, texts ['A dog', '0', '1', '2', '3', '4', '5']
#   caption first: datasets ValueError: The TAR archives of the dataset should be in WebDataset format, but the files in the archive don't share the same prefix or the same types.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 webdataset==1.0.2 pillow==13.0.0
cd "$folder"
HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 venv/bin/python - <<'END'
import io
import sys
import tarfile

import datasets
import webdataset
from PIL import Image

datasets.disable_progress_bars()
picture = io.BytesIO()
Image.new("RGB", (8, 8)).save(picture, "PNG")
common = [(f"a{number}", "txt", str(number)) for number in range(6)]
odd = [("b", "caption", "A dog")]
seen = {}
for order, samples in (("last", common + odd), ("first", odd + common)):
    path = order + ".tar"
    with tarfile.open(path, "w") as tar:
        for key, field, text in samples:
            for name, content in ((key + ".png", picture.getvalue()), (f"{key}.{field}", text.encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    found = list(webdataset.WebDataset(path, shardshuffle=False))
    texts = [(sample.get("txt") or sample.get("caption")).decode() for sample in found]
    print(f"caption {order + ':':6} webdataset {len(found)} samples, texts {texts}")
    try:
        table = datasets.load_dataset("webdataset", data_files={"train": path})["train"]
        columns = sorted(name for name in table.features if not name.startswith("__"))
        seen[order] = (columns, table["txt"][-1])
        print(f"caption {order + ':':6} datasets columns {columns}, texts {table['txt'][:]}")
    except ValueError as error:
        seen[order] = "refused"
        print(f"caption {order + ':':6} datasets ValueError: {error}")
if seen != {"last": (["png", "txt"], None), "first": "refused"}:
    sys.exit("no longer so")
END
