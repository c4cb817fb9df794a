#!/usr/bin/env bash
# datasets' imagefolder: captions do not stay text. "None" and "NA" become null, "007" becomes 7, dates become timestamps.
#
# Versions: datasets 5.2.0, pandas 3.1.1, pyarrow 26.0.1, Pillow 13.0.0 (Python 3.11).
#
# What happens: metadata.csv goes through pandas with its guesses on, metadata.jsonl through pyarrow's, which turn a column of
# strings in quotes into timestamps if every one of them looks like a date. Each caption is judged by its neighbours: one
# more picture with a caption in words and all dates are text again.
#
# Why it surprises: quotes are how JSON says that a value is text, and a caption is text. One would expect the
# characters that the file holds. (Both files below put every caption in quotes.)
#
# Seen on 28 November 2026:
#   metadata.csv:   text ['A cat', None, None], code [7, 10, 11]
#   metadata.jsonl: text [datetime.datetime(2024, 5, 1, 0, 0), datetime.datetime(1999, 12, 31, 0, 0)]
#   and a picture:  text ['2024-05-01', '1999-12-31', 'A cat']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pandas==3.1.1 pyarrow==26.0.1 pillow==13.0.0
cd "$folder"
HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 venv/bin/python - <<'END'
import csv
import datetime
import json
import os
import sys

import datasets
from PIL import Image

datasets.disable_progress_bars()


def loaded(kind, rows):
    root = f"{kind}-{len(rows)}"
    os.mkdir(root)
    for row in rows:
        Image.new("RGB", (8, 8)).save(f"{root}/{row['file_name']}")
    with open(f"{root}/metadata.{kind}", "w", newline="") as file:
        if kind == "csv":
            writer = csv.DictWriter(file, rows[0], quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return datasets.load_dataset("imagefolder", data_dir=root)["train"]


table = loaded("csv", [
    {"file_name": "1.png", "text": "A cat", "code": "007"},
    {"file_name": "2.png", "text": "None", "code": "010"},
    {"file_name": "3.png", "text": "NA", "code": "011"}])
dates = [{"file_name": "1.png", "text": "2024-05-01"}, {"file_name": "2.png", "text": "1999-12-31"}]
lines, more = loaded("jsonl", dates), loaded("jsonl", dates + [{"file_name": "3.png", "text": "A cat"}])
print(f"metadata.csv:   text {table['text'][:]}, code {table['code'][:]}")
print(f"metadata.jsonl: text {lines['text'][:]}")
print(f"and a picture:  text {more['text'][:]}")
if table["text"][:] != ["A cat", None, None] or table["code"][:] != [7, 10, 11] or not isinstance(lines["text"][0], datetime.datetime):
    sys.exit("no longer so")
END
