#!/usr/bin/env bash
# transformers' CLIPTokenizer: an empty "added_tokens_decoder" in tokenizer_config.json changes what prompts are padded with.
#
# Versions: transformers 5.24.0 (Python 3.11).
#
# What happens: where special_tokens_map.json and tokenizer_config.json name different padding tokens, the map wins. With the
# key "added_tokens_decoder" in tokenizer_config.json, even of an empty object, the map is not read and the configuration wins.
#
# Why it surprises: the key lists tokens beside the vocabulary and says nothing of roles. Stable Diffusion 2's folders are of
# this kind: "!" in the map, the end token in the configuration. A tool that adds the key when it saves changes all pictures,
# as SD 2 attends to the padding. A reader has to know the rule, as either file alone looks complete.
#
# Seen on 28 November 2026:
#   without the key: pads with '!'  [6, 3, 7, 0]
#   with an empty one: pads with '<|endoftext|>'  [6, 3, 7, 7]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
cd "$folder"
HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 venv/bin/python - <<'END'
import json
import os
import sys

from transformers import CLIPTokenizer

vocabulary = ["!", "a", "b", "a</w>", "b</w>", "!</w>", "<|startoftext|>", "<|endoftext|>"]
seen = []
for name, extra in (("without the key", {}), ("with an empty one", {"added_tokens_decoder": {}})):
    os.mkdir(name)
    files = {
        "vocab.json": {token: number for number, token in enumerate(vocabulary)},
        "special_tokens_map.json": {"pad_token": "!"},
        "tokenizer_config.json": {"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>", **extra},
    }
    for file, content in files.items():
        with open(os.path.join(name, file), "w") as output:
            json.dump(content, output)
    with open(os.path.join(name, "merges.txt"), "w") as output:
        output.write("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(name)
    tokens = tokenizer("a", padding="max_length", max_length=4)["input_ids"]
    print(f"{name}: pads with {tokenizer.pad_token!r}  {tokens}")
    seen.append(tokens)
if seen != [[6, 3, 7, 0], [6, 3, 7, 7]]:
    sys.exit("no longer so")
END
