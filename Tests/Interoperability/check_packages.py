"""Packages of `sdtune convert` before the genuine coremltools: check_packages.py SDTUNE

Every component, form of attention and number of bits of the repository's miniatures is converted. coremltools' loader
must take each program (it infers every type anew), the features must be those that the program has, and every weight
that coremltools decompresses must be, to the bit, what sdtune's reader makes of it (`sdtune inspect --weights`).

Needs coremltools 8 or 9 and safetensors. Nothing is run: that takes a Mac.
"""
import logging
import os
import subprocess
import sys
import tempfile

logging.disable(logging.WARNING)
import coremltools as ct
import numpy as np
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from safetensors.numpy import load_file

REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
EMOJI = os.path.join(REPOSITORY, "checkpoints", "emoji-sd")
MINIATURES = os.path.join(REPOSITORY, "Tests", "References", "models")
FORMS = ("original", "split-einsum", "split-einsum-v2")
FEATURE_TYPES = {65552: "fp16", 65568: "fp32", 131104: "int32"}


def conversions():
    """Name, model and further arguments of each conversion."""
    for form in FORMS:
        yield f"unet {form}", EMOJI, ["--components", "unet", "--attention", form]
        yield f"unet {form} 24x24", EMOJI, [
            "--components", "unet", "--attention", form, "--latent-h", "24", "--latent-w", "24"]
        yield f"xl {form}", f"{MINIATURES}/sdxl-tiny", ["--components", "text-encoder,unet", "--attention", form]
        yield f"control {form}", f"{MINIATURES}/sd1-tiny", [
            "--components", "unet,controlnet", "--unet-support-controlnet", "--attention", form,
            "--controlnet", f"{MINIATURES}/sd1-tiny/controlnet"]
    components = "text-encoder,unet,vae-decoder,vae-encoder"
    for target in ("iOS16", "iOS17", "iOS18"):
        yield f"{target}", EMOJI, ["--components", components, "--target", target]
    palettized = ["--components", components, "--quantize-components", components]
    for bits in (1, 2, 4, 6, 8):
        yield f"{bits} bits", EMOJI, palettized + ["--quantize-nbits", str(bits)]
    iOS18 = palettized + ["--target", "iOS18"]
    for bits in (1, 2, 3, 4, 6, 8):
        yield f"iOS18 {bits} bits", EMOJI, iOS18 + ["--quantize-nbits", str(bits)]
    yield "groups", EMOJI, iOS18 + ["--quantize-nbits", "4", "--palette-group", "8"]
    yield "vectors", EMOJI, iOS18 + ["--quantize-nbits", "4", "--palette-group", "16", "--palette-vector", "2"]
    yield "scales", EMOJI, iOS18 + ["--quantize-nbits", "4", "--palette-group", "8", "--channel-scale"]
    yield "8-bit entries", EMOJI, iOS18 + ["--quantize-nbits", "4", "--palette-int8"]
    iOS26 = palettized + ["--target", "iOS26", "--quantize-nbits", "4"]
    yield "iOS26", EMOJI, iOS26
    yield "iOS26 8-bit entries", EMOJI, iOS26 + ["--palette-int8", "--palette-group", "8"]
    yield "iOS26 scales", EMOJI, iOS26 + ["--channel-scale", "--palette-group", "1"]
    yield "sizes", EMOJI, ["--components", components, "--target", "iOS18", "--quantize-nbits", "4",
                           "--sizes", "16x16,24x16"]
    # A VAE that overflows half precision keeps single precision, its palettes too.
    xl = ["--components", "vae-decoder", "--quantize-components", "vae-decoder", "--quantize-nbits", "4"]
    yield "xl VAE", f"{MINIATURES}/sdxl-tiny", xl
    for extra in ("--channel-scale", "--palette-int8"):
        yield f"xl VAE {extra}", f"{MINIATURES}/sdxl-tiny", xl + ["--target", "iOS18", "--palette-group", "8", extra]
    yield "halves", EMOJI, ["--components", "unet", "--quantize-nbits", "4", "--chunk-unet"]


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}\n{done.stderr}")


def value_of(variable):
    """A constant's elements, decompressed where they are compressed."""
    operation = variable.op
    if operation.op_type == "const":
        return operation.val.val
    if operation.op_type == "constexpr_lut_to_dense" and operation.lut.val is None:
        # coremltools does not follow a table that is compressed itself.
        axis = operation.vector_axis
        return operation.decompress(
            operation.indices.val, value_of(operation.lut), None if axis is None else axis.val)
    if operation.op_type.startswith("constexpr_"):
        return operation.materialized_val_inference()
    return None


def check_features(description, function):
    """The description against the program: names, types, shapes."""
    for feature in description.input:
        kind = feature.type.multiArrayType
        variable = function.inputs[feature.name]
        assert tuple(kind.shape) == tuple(variable.shape), feature.name
        assert FEATURE_TYPES[kind.dataType] == ct.converters.mil.mil.types.builtin_to_string(variable.dtype), feature.name
    names = [feature.name for feature in description.output]
    assert names == [variable.name for variable in function.outputs], names


def check(sdtune, package):
    """Returns how many weights agree; a disagreement ends in an exception."""
    model = ct.models.MLModel(package, skip_model_load=True)
    spec = model.get_spec()
    program = load_program(spec, spec.specificationVersion, model.weights_dir)
    described = {each.name: each for each in spec.description.functions} or {"main": spec.description}
    assert set(described) == set(program.functions), set(program.functions)
    for name, function in program.functions.items():
        check_features(described[name], function)
    function = program.functions[spec.description.defaultFunctionName or "main"]
    dumped = package + ".safetensors"
    run(sdtune, "inspect", package, "--weights", dumped)
    ours = load_file(dumped)
    os.remove(dumped)
    theirs = {}
    for operation in function.operations:
        for variable in operation.outputs:
            if variable.name in ours:
                theirs[variable.name] = np.asarray(value_of(variable), dtype=np.float32)
    assert ours and set(theirs) == set(ours), set(ours) ^ set(theirs)
    for name, values in ours.items():
        assert values.shape == theirs[name].shape, name
        assert np.array_equal(values, theirs[name]), f"{name}: {np.abs(values - theirs[name]).max()}"
    return len(ours)


def main():
    sdtune = os.path.abspath(sys.argv[1])
    failures = packages = 0
    for name, model, arguments in conversions():
        with tempfile.TemporaryDirectory() as folder:
            run(sdtune, "convert", "--model", model, "--model-version", "m", "--output", folder, *arguments)
            for package in sorted(os.listdir(folder)):
                packages += 1
                try:
                    print(f"{name}: {package}: {check(sdtune, os.path.join(folder, package))} weights agree", flush=True)
                except Exception as error:
                    failures += 1
                    print(f"{name}: {package}: FAIL: {type(error).__name__}: {error}", flush=True)
    print(f"coremltools {ct.__version__}: {packages} packages, {failures} failures")
    sys.exit(1 if failures else 0)


main()
