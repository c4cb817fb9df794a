import Foundation
import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// Operations that the sample packages hardly touch, one by one.
///
/// `Operations.json` holds the values that the reference interpreter (torch, `run_mlpackage.py`)
/// gives for the packages this suite writes; every input is `((7 i + 3) mod 11) / 4 − 1`.
@Suite struct OperationTests {
  struct Case: Sendable, CustomStringConvertible {
    let name: String
    let type: String
    var inputs: [(name: String, shape: [Int])] = [("x", [2, 3, 4])]
    var arguments: [String: OperationInput] = [:]
    var result: DataType = .float32
    let shape: [Int]
    /// Whether the inputs go into `values`.
    var joins = false
    /// Inputs to make integers of, times four.
    var integers: [String] = []
    var description: String { name }
  }

  static func unary(_ type: String, _ arguments: [String: OperationInput] = [:]) -> Case {
    Case(name: type, type: type, arguments: arguments, shape: [2, 3, 4])
  }

  private static func reduction(_ type: String, _ axes: [Int], _ shape: [Int]) -> Case {
    let places = axes.map { $0 < 0 ? "m\(-$0)" : "\($0)" }.joined(separator: "_")
    return Case(
      name: "\(type)_\(places)", type: type,
      arguments: ["axes": .ints(axes), "keep_dims": .bool(shape.count == 3)], shape: shape)
  }

  static let cases: [Case] = elementwise + reductions + others + rare

  private static let elementwise: [Case] =
    [
      "abs", "sign", "ceil", "floor", "round", "exp", "exp2", "sin", "cos", "tanh", "square",
      "erf", "relu", "sigmoid", "silu",
    ].map { unary($0) }
    + ["add", "sub", "mul", "maximum", "minimum", "floor_div", "mod", "real_div"].map {
      Case(
        name: $0 + "_broadcast", type: $0, inputs: [("x", [2, 1, 4]), ("y", [3, 1])],
        shape: [2, 3, 4])
    }

  private static let reductions: [Case] =
    [
      "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum_square",
      "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum_exp", "reduce_mean",
    ].flatMap { [reduction($0, [1], [2, 4]), reduction($0, [0, -1], [1, 3, 1])] }
    + ["reduce_argmax", "reduce_argmin"].map {
      Case(
        name: $0, type: $0, arguments: ["axis": .int(1), "keep_dims": .bool(false)],
        result: .int32, shape: [2, 4])
    }

  private static let others: [Case] = [
    unary("clip", ["alpha": .single(-0.5), "beta": .single(1)]),
    Case(
      name: "gelu_tanh", type: "gelu", arguments: ["mode": .text("TANH_APPROXIMATION")],
      shape: [2, 3, 4]),
    Case(
      name: "gelu_sigmoid", type: "gelu", arguments: ["mode": .text("SIGMOID_APPROXIMATION")],
      shape: [2, 3, 4]),
    Case(name: "softmax_1", type: "softmax", arguments: ["axis": .int(1)], shape: [2, 3, 4]),
    Case(
      name: "layer_norm_outer", type: "layer_norm",
      arguments: ["axes": .ints([0, 2]), "epsilon": .single(1e-5)], shape: [2, 3, 4]),
    Case(
      name: "instance_norm", type: "instance_norm", inputs: [("x", [2, 3, 2, 2])],
      arguments: ["epsilon": .single(1e-5)], shape: [2, 3, 2, 2]),
    Case(
      name: "l2_norm", type: "l2_norm", inputs: [("x", [2, 3, 2, 2])],
      arguments: ["epsilon": .single(1e-6)], shape: [2, 3, 2, 2]),
    Case(
      name: "reshape_zero", type: "reshape", arguments: ["shape": .ints([-1, 0])],
      shape: [6, 4]),
    Case(
      name: "transpose", type: "transpose", arguments: ["perm": .ints([2, -3, 1])],
      shape: [4, 2, 3]),
    Case(name: "tile", type: "tile", arguments: ["reps": .ints([1, 2, 3])], shape: [2, 6, 12]),
    Case(name: "reverse", type: "reverse", arguments: ["axes": .ints([0, 2])], shape: [2, 3, 4]),
    Case(
      name: "concat", type: "concat", inputs: [("a", [2, 1, 4]), ("b", [2, 2, 4])],
      arguments: ["axis": .int(-2), "interleave": .bool(false)], shape: [2, 3, 4],
      joins: true),
    Case(
      name: "concat_interleaved", type: "concat", inputs: [("a", [2, 3]), ("b", [2, 3])],
      arguments: ["axis": .int(1), "interleave": .bool(true)], shape: [2, 6], joins: true),
    Case(
      name: "stack", type: "stack", inputs: [("a", [2, 3]), ("b", [2, 3])],
      arguments: ["axis": .int(1)], shape: [2, 2, 3], joins: true),
    Case(
      name: "slice_steps", type: "slice_by_index",
      arguments: [
        "begin": .ints([1, -1, 0]), "end": .ints([2, 0, 4]), "stride": .ints([1, -1, 2]),
        "squeeze_mask": .bools([true, false, false]),
      ], shape: [2, 2]),
    Case(
      name: "slice_by_size", type: "slice_by_size",
      arguments: ["begin": .ints([0, 1, 1]), "size": .ints([2, -1, 2])], shape: [2, 2, 2]),
    Case(
      name: "pad_reflect", type: "pad",
      arguments: ["pad": .ints([1, 2]), "mode": .text("reflect"), "constant_val": .single(0)],
      shape: [2, 3, 7]),
    Case(
      name: "pad_replicate", type: "pad",
      arguments: ["pad": .ints([2, 1]), "mode": .text("replicate"), "constant_val": .single(0)],
      shape: [2, 3, 7]),
    Case(
      name: "pad_constant", type: "pad",
      arguments: [
        "pad": .ints([1, 0, 0, 2]), "mode": .text("constant"), "constant_val": .single(-3),
      ], shape: [2, 4, 6]),
    Case(
      name: "conv_stride_dilation", type: "conv",
      inputs: [("x", [2, 4, 7, 6]), ("weight", [4, 2, 3, 2])],
      arguments: [
        "pad_type": .text("custom"), "pad": .ints([1, 2, 0, 1]), "strides": .ints([2, 1]),
        "dilations": .ints([1, 2]), "groups": .int(2),
      ], shape: [2, 4, 4, 5]),
    Case(
      name: "conv_one_axis", type: "conv", inputs: [("x", [1, 2, 9]), ("weight", [3, 2, 3])],
      arguments: [
        "pad_type": .text("same"), "pad": .ints([0, 0]), "strides": .ints([2]),
        "dilations": .ints([1]), "groups": .int(1),
      ], shape: [1, 3, 5]),
    Case(
      name: "conv_same_lower", type: "conv",
      inputs: [("x", [1, 2, 5, 5]), ("weight", [3, 2, 2, 2])],
      arguments: [
        "pad_type": .text("same_lower"), "pad": .ints([0, 0, 0, 0]), "strides": .ints([1, 1]),
        "dilations": .ints([1, 1]), "groups": .int(1),
      ], shape: [1, 3, 5, 5]),
    Case(
      name: "conv_transpose", type: "conv_transpose",
      inputs: [("x", [2, 4, 3, 5]), ("weight", [4, 3, 3, 2]), ("bias", [6])],
      arguments: [
        "pad_type": .text("custom"), "pad": .ints([1, 0, 0, 2]), "strides": .ints([2, 3]),
        "dilations": .ints([1, 2]), "groups": .int(2),
      ], shape: [2, 6, 6, 13]),
    Case(
      name: "conv_transpose_one_axis", type: "conv_transpose", inputs: [("x", [1, 2, 4]), ("weight", [2, 3, 3])],
      arguments: ["pad_type": .text("valid"), "strides": .ints([2])], shape: [1, 3, 9]),
    Case(
      name: "matmul_broadcast", type: "matmul", inputs: [("x", [2, 1, 4, 3]), ("y", [5, 4, 2])],
      arguments: ["transpose_x": .bool(true), "transpose_y": .bool(false)],
      shape: [2, 5, 3, 2]),
    Case(
      name: "einsum_rank_3", type: "einsum", inputs: [("a", [3, 2, 4]), ("b", [4, 2, 5])],
      arguments: ["equation": .text("chw,whr->chr")], shape: [3, 2, 5], joins: true),
    Case(
      name: "einsum_rank_4", type: "einsum", inputs: [("a", [2, 3, 2, 4]), ("b", [2, 4, 2, 5])],
      arguments: ["equation": .text("nchw,nwhu->nchu")], shape: [2, 3, 2, 5], joins: true),
    Case(
      name: "attention", type: "scaled_dot_product_attention",
      inputs: [
        ("query", [1, 2, 3, 4]), ("key", [1, 2, 5, 4]), ("value", [1, 2, 5, 6]),
        ("attn_mask", [3, 5]),
      ], shape: [1, 2, 3, 6]),
    Case(
      name: "upsample_fraction", type: "upsample_nearest_neighbor", inputs: [("x", [1, 2, 4, 2])],
      arguments: ["scale_factor_height": .single(1.5), "scale_factor_width": .single(2)],
      shape: [1, 2, 6, 4]),
    Case(
      name: "upsample_bilinear_corners", type: "upsample_bilinear", inputs: [("x", [1, 2, 4, 3])],
      arguments: [
        "scale_factor_height": .single(1.5), "scale_factor_width": .single(2), "align_corners": .bool(true),
      ], shape: [1, 2, 6, 6]),
    Case(
      name: "upsample_bilinear_centers", type: "upsample_bilinear", inputs: [("x", [1, 2, 4, 3])],
      arguments: [
        "scale_factor_height": .single(2), "scale_factor_width": .single(3), "align_corners": .bool(false),
        "half_pixel_centers": .bool(true),
      ], shape: [1, 2, 8, 9]),
    Case(
      name: "band_part", type: "band_part", inputs: [("x", [2, 4, 5])],
      arguments: ["lower": .int(1), "upper": .int(0)], shape: [2, 4, 5]),
    Case(
      name: "pixel_shuffle", type: "pixel_shuffle", inputs: [("x", [1, 8, 2, 3])],
      arguments: ["upscale_factor": .int(2)], shape: [1, 2, 4, 6]),
    Case(
      name: "cumsum", type: "cumsum",
      arguments: ["axis": .int(1), "exclusive": .bool(true), "reverse": .bool(true)],
      shape: [2, 3, 4]),
    Case(
      name: "gather_axis", type: "gather", inputs: [("x", [2, 11, 2]), ("indices", [3])],
      arguments: [
        "axis": .int(1), "batch_dims": .int(0), "validate_indices": .bool(false),
      ], shape: [2, 3, 2], integers: ["indices"]),
    Case(
      name: "gather_along_axis", type: "gather_along_axis",
      inputs: [("x", [11, 3]), ("indices", [2, 3])],
      arguments: ["axis": .int(0), "validate_indices": .bool(false)], shape: [2, 3],
      integers: ["indices"]),
    Case(
      name: "avg_pool", type: "avg_pool", inputs: [("x", [1, 2, 5, 4])],
      arguments: [
        "kernel_sizes": .ints([3, 2]), "strides": .ints([2, 2]), "pad_type": .text("custom"),
        "pad": .ints([1, 1, 0, 0]), "exclude_padding_from_average": .bool(true),
        "ceil_mode": .bool(false),
      ], shape: [1, 2, 3, 2]),
    Case(
      name: "max_pool", type: "max_pool", inputs: [("x", [1, 2, 5, 4])],
      arguments: [
        "kernel_sizes": .ints([2, 2]), "strides": .ints([1, 2]), "pad_type": .text("valid"),
        "pad": .ints([0, 0, 0, 0]), "ceil_mode": .bool(false),
      ], shape: [1, 2, 4, 2]),
  ]

  private static let references: [String: [Float]]? = Bundle.module.resourcePath
    .flatMap { try? Data(contentsOf: URL(filePath: $0 + "/Packages/Operations.json")) }
    .flatMap { try? JSONDecoder().decode([String: [Float]].self, from: $0) }

  private func write(_ item: Case, _ path: String) throws {
    let writer = try ModelPackageWriter(path)
    let program = ProgramBuilder(target: .iOS18, weights: writer.weights)
    var arguments = item.arguments
    var parts: [Operand] = []
    for (name, shape) in item.inputs {
      var value = program.input("in_" + name, .float32, shape)
      if item.integers.contains(name) {
        value = try program.operation(
          "mul", name: name + "_times_4", ["x": .value(value), "y": .single(4)], .float32, shape)
        value = try program.operation(
          "cast", name: name + "_whole", ["x": .value(value), "dtype": .text("int32")], .int32,
          shape)
      }
      parts.append(value)
      if !item.joins { arguments[name] = .value(value) }
    }
    if item.joins { arguments["values"] = .values(parts) }
    program.output(
      try program.operation(item.type, name: "result", arguments, item.result, item.shape))
    try writer.finish(program.model())
  }

  @Test(arguments: cases) func matchesReference(_ item: Case) throws {
    try withScratchFolder { folder in
      let path = "\(folder)/op_\(item.name).mlpackage"
      try write(item, path)
      var inputs: [String: NamedTensor] = [:]
      for (name, shape) in item.inputs {
        let values = (0..<shape.reduce(1, *)).map { (index: Int) -> Float in
          Float((7 * index + 3) % 11) / 4 - 1
        }
        inputs["in_" + name] = NamedTensor(shape: shape, elements: Buffer(values))
      }
      let result = try #require(try PackageModel(path: path).run(inputs: inputs)["result"])
      #expect(result.shape == item.shape)
      let reference = try #require(Self.references?[item.name])
      #expect(result.elements.count == reference.count)
      for (value, expected) in zip(result.elements.elements, reference) {
        // Divisions by zero give infinities and no numbers on both sides.
        let same = value == expected || (value.isNaN && expected.isNaN)
        #expect(same || abs(value - expected) <= 3e-6 * max(1, abs(expected)))
      }
    }
  }
}
