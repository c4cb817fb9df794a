#!/usr/bin/env bash
# coremltools: the target decides whether 8-bit palette entries are scaled before the look-up or behind it, whatever the program says.
#
# Versions: coremltools 9.0 (Python 3.11).
#
# What happens: a program that scales an int8 table (constexpr_blockwise_shift_scale) and looks weights up in the result
# (constexpr_lut_to_dense) keeps that order for iOS 18. Converted for iOS 26, the two change places: the look-up gives int8
# weights, which are scaled as a whole. A pass of the default pipeline reorders them (canonicalize_quantized_lut_pattern).
#
# Why it surprises: the same weights, the same program, and a weight of another type in the middle: a reader that expects floats
# from a look-up, or the size of a palette at the scale, breaks on packages for the newer system only.
#
# Seen on 28 November 2026:
#   iOS18, specification 9: constexpr_blockwise_shift_scale, constexpr_lut_to_dense
#   iOS26, specification 10: constexpr_lut_to_dense, constexpr_blockwise_shift_scale
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check coremltools==9.0
cd "$folder"
venv/bin/python - 2>/dev/null <<'END'
import logging
import sys

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

logging.disable(logging.CRITICAL)
seen = {}
for target in ("iOS18", "iOS26"):
    @mb.program(input_specs=[mb.TensorSpec((1, 4), dtype=types.fp16)], opset_version=getattr(ct.target, target))
    def program(x):
        uint2 = types.np_uint2_dtype
        indices = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8).astype(uint2)
        entries = np.array([-100, -3, 7, 90], np.int8).reshape(1, 1, 4, 1)
        lut = mb.constexpr_blockwise_shift_scale(data=entries, scale=np.float16([[[[0.01]]]]))
        weight = mb.constexpr_lut_to_dense(indices=indices, lut=lut)
        return mb.linear(x=x, weight=weight, name="y")

    model = ct.convert(program, minimum_deployment_target=getattr(ct.target, target), skip_model_load=True)
    function = model.get_spec().mlProgram.functions["main"]
    block = next(iter(function.block_specializations.values()))
    order = [operation.type for operation in block.operations if operation.type.startswith("constexpr_")]
    print(f"{target}, specification {model.get_spec().specificationVersion}: {', '.join(order)}")
    seen[target] = order
expected = ["constexpr_blockwise_shift_scale", "constexpr_lut_to_dense"]
if seen != {"iOS18": expected, "iOS26": expected[::-1]}:
    print("no longer so")
    sys.exit(1)
END
