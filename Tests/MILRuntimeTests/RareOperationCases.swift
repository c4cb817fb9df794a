import MIL

extension OperationTests {
  /// Of upscalers, adapters and other networks around Stable Diffusion.
  static let rare: [Case] =
    [
      unary("leaky_relu", ["alpha": .single(0.2)]), unary("elu", ["alpha": .single(0.7)]), unary("relu6"),
      unary("softplus"), unary("softsign"), unary("sigmoid_hard", ["alpha": .single(0.3), "beta": .single(0.4)]),
      unary("scaled_tanh", ["alpha": .single(1.5), "beta": .single(0.5)]),
      unary("linear_activation", ["alpha": .single(2), "beta": .single(-0.5)]),
      unary("threshold", ["alpha": .single(0.25)]), unary("thresholded_relu", ["alpha": .single(0.5)]),
      unary("clamped_relu", ["alpha": .single(0.5), "beta": .single(1)]),
      Case(name: "prelu", type: "prelu", inputs: [("x", [2, 3, 2, 2]), ("alpha", [3])], shape: [2, 3, 2, 2]),
      Case(
        name: "softplus_parametric", type: "softplus_parametric",
        inputs: [("x", [2, 3, 2, 2]), ("alpha", [3]), ("beta", [3])], shape: [2, 3, 2, 2]),
      Case(
        name: "pixel_unshuffle", type: "pixel_unshuffle", inputs: [("x", [1, 2, 4, 6])],
        arguments: ["downscale_factor": .int(2)], shape: [1, 8, 2, 3]),
      // As coremltools writes sizes that do not divide: a little more than the factor.
      Case(
        name: "upsample_odd", type: "upsample_nearest_neighbor", inputs: [("x", [1, 2, 10, 3])],
        arguments: [
          "scale_factor_height": .single(Float(15.0001 / 10)), "scale_factor_width": .single(Float(7.0001 / 3)),
        ], shape: [1, 2, 15, 7]),
      Case(
        name: "upsample_little", type: "upsample_nearest_neighbor", inputs: [("x", [1, 1, 1, 3])],
        arguments: ["scale_factor_height": .single(1), "scale_factor_width": .single(1.12)], shape: [1, 1, 1, 3]),
      Case(
        name: "matmul_vector_left", type: "matmul", inputs: [("x", [4]), ("y", [2, 4, 3])],
        arguments: ["transpose_x": .bool(false), "transpose_y": .bool(false)], shape: [2, 3]),
      Case(
        name: "matmul_vector_right", type: "matmul", inputs: [("x", [2, 3, 4]), ("y", [4])],
        arguments: ["transpose_x": .bool(false), "transpose_y": .bool(false)], shape: [2, 3]),
      Case(
        name: "matmul_vectors", type: "matmul", inputs: [("x", [4]), ("y", [4])],
        arguments: ["transpose_x": .bool(false), "transpose_y": .bool(false)], shape: []),
      Case(
        name: "slice_update", type: "slice_update", inputs: [("x", [2, 3, 4]), ("update", [2, 2, 2])],
        arguments: ["begin": .ints([0, 1, 0]), "end": .ints([2, 3, 4]), "stride": .ints([1, 1, 2])], shape: [2, 3, 4]),
      Case(
        name: "argsort", type: "argsort", arguments: ["axis": .int(1), "ascending": .bool(true)], result: .int32,
        shape: [2, 3, 4]),
      Case(
        name: "argsort_descending", type: "argsort", arguments: ["axis": .int(-1), "ascending": .bool(false)],
        result: .int32, shape: [2, 3, 4]),
      Case(
        name: "crop", type: "crop", inputs: [("x", [1, 2, 6, 5])],
        arguments: ["crop_height": .ints([1, 2]), "crop_width": .ints([0, 3])], shape: [1, 2, 3, 2]),
      // Indices from −4 to 6, some of them twice.
      Case(
        name: "scatter_add", type: "scatter", inputs: [("data", [7, 3]), ("indices", [6]), ("updates", [6, 3])],
        arguments: ["axis": .int(0), "mode": .text("add")], shape: [7, 3], integers: ["indices"]),
      Case(
        name: "scatter_max", type: "scatter",
        inputs: [("data", [2, 7, 3]), ("indices", [2, 3]), ("updates", [2, 2, 3, 3])],
        arguments: ["axis": .int(1), "mode": .text("max")], shape: [2, 7, 3], integers: ["indices"]),
      Case(
        name: "scatter_along_axis", type: "scatter_along_axis",
        inputs: [("data", [2, 7, 3]), ("indices", [2, 4, 3]), ("updates", [2, 4, 3])],
        arguments: ["axis": .int(-2), "mode": .text("mul")], shape: [2, 7, 3], integers: ["indices"]),
    ]
    + ["DEFAULT", "STRICT_ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS"].map { mode in
      Case(
        name: "resize_\(mode.lowercased())", type: "resize_bilinear", inputs: [("x", [1, 2, 4, 3])],
        arguments: [
          "target_size_height": .int(7), "target_size_width": .int(5), "sampling_mode": .text(mode),
        ], shape: [1, 2, 7, 5])
    }
    + [
      ("avg_pool_ceil", [1, 1, 1, 1], false, [1, 2, 4, 3]),
      ("avg_pool_ceil_excluding", [1, 1, 1, 1], true, [1, 2, 4, 3]),
      ("max_pool_ceil", [0, 0, 0, 0], false, [1, 2, 3, 3]),
    ].map { (name, pad, excludes, shape) -> Case in
      var arguments: [String: OperationInput] = [
        "kernel_sizes": .ints([3, 2]), "strides": .ints([2, 2]), "pad_type": .text("custom"), "pad": .ints(pad),
        "ceil_mode": .bool(true),
      ]
      if name.hasPrefix("avg") { arguments["exclude_padding_from_average"] = .bool(excludes) }
      return Case(
        name: name, type: String(name.prefix(8)), inputs: [("x", [1, 2, 6, 5])], arguments: arguments, shape: shape)
    }
}
