"""Writes Operations.json: what the reference interpreter gives for the packages that OperationTests writes.

  SDTUNE_KEEP_PACKAGES=DIR swift test -c release --filter OperationTests      (fails, but leaves the packages)
  python make_operation_references.py DIR path/to/run_mlpackage.py > ../Packages/Operations.json
"""
import glob, importlib.util, json, os, sys
import numpy as np

folder, tool = sys.argv[1:3]
spec = importlib.util.spec_from_file_location("interpreter", tool)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
references = {}
for path in sorted(glob.glob(os.path.join(folder, "op_*.mlpackage"))):
    name = os.path.basename(path)[3:-len(".mlpackage")]
    package = tool.Package(path)
    function, _ = package.function()
    inputs = {}
    for value in function["inputs"]:
        shape = tool.tensor_shape(value["type"]["tensorType"])
        index = np.arange(int(np.prod(shape)))
        inputs[value["name"]] = (((7 * index + 3) % 11) / 4 - 1).astype(np.float32).reshape(shape)
    try:
        result = tool.Interp(package, "fp32").run(inputs)["result"]
    except Exception as error:
        print(name, repr(error), file=sys.stderr)
        continue
    references[name] = [float(x) for x in np.asarray(result, np.float32).reshape(-1)]
print("{\n" + ",\n".join(f' "{k}": {json.dumps([float(f"{x:.9g}") for x in v], separators=(",", ":"))}' for k, v in references.items()) + "\n}")
