#!/usr/bin/env bash
# transformers' CLIPTokenizer with Stable Diffusion 2's settings: every "!" that a caption holds is read as padding.
#
# Versions: transformers 5.24.0 (Python 3.11); no torch.
#
# What happens: Stable Diffusion 2 pads with token 0, and token 0 is spelled "!", so its published tokenizer says
# pad_token "!". A pad token is a special token, and special tokens are cut out of the text before anything else is done:
# "!" at a word's end should be "!</w>", number 256, and becomes 0, the padding, though attention_mask still counts it.
# Decoding without special tokens loses the marks.
#
# Why it surprises: naming the token to pad WITH changes how text is READ. One would expect the two tokenizers here, alike in
# vocabulary and merges, to differ behind the end only, as they do for every caption without "!". Nothing reports it.
# The vocabulary is made here: CLIP's first 512 entries (bytes, bytes at a word's end) and two words.
#
# Seen on 28 November 2026:
#   pad <|endoftext|>: 'A cat! A dog!' -> [516, 320, 513, 256, 320, 515, 256, 517, 517, 517]
#   pad !:             'A cat! A dog!' -> [516, 320, 513, 0, 320, 515, 0, 517, 0, 0]
#   pad !:             decoded 'a cat a dog', attended to [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
cd "$folder"
HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error venv/bin/python - <<'END'
import sys

from transformers import CLIPTokenizer

# Bytes that can be printed stand for themselves and come first; the others are U+0100 and on.
printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]
merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
words = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges]
vocabulary = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
caption = "A cat! A dog!"
seen = {}
for pad in ("<|endoftext|>", "!"):
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad)
    tokens = tokenizer(caption, padding="max_length", max_length=10)
    seen[pad] = tokens["input_ids"]
    print(f"pad {pad + ':':14} {caption!r} -> {tokens['input_ids']}")
print(f"pad !:             decoded {tokenizer.decode(tokens['input_ids'], skip_special_tokens=True)!r}, attended to {tokens['attention_mask']}")
if vocabulary["!</w>"] != 256 or seen["<|endoftext|>"].count(256) != 2 or seen["!"][:8].count(0) != 2:
    sys.exit("no longer so")
END
