import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// Chains that the runner takes together give what their operations give one by one: a program that also asks for a
/// value from inside the chain is not fused.
@Suite struct FusionTests {
  enum Form: String, Sendable, CaseIterable {
    case original, splitEinsum, queriesFirst, headsAsKeys
  }

  @Test(arguments: Form.allCases) func attention(_ form: Form) throws {
    let (fused, spelled) = try both("attention_\(form.rawValue)") { program in
      try attention(form, program)
    }
    // A softmax over heads is no attention, though there are as many heads as keys.
    #expect(form == .headsAsKeys || fused.peak < spelled.peak)
    #expect(fused.y.shape == spelled.y.shape)
    for (a, b) in zip(fused.y.elements.elements, spelled.y.elements.elements) { #expect(abs(a - b) < 2e-6) }
  }

  /// Heads that a program slices and joins are computed together, bit for bit as one by one.
  @Test func heads() throws {
    let (fused, spelled) = try both("heads") { program in try heads(program) }
    #expect(fused.y.elements.elements == spelled.y.elements.elements)
    #expect(fused.peak < spelled.peak)
  }

  /// Moments without their axes go along other axes of the groups, which is no group norm.
  @Test func momentsWithoutAxes() throws {
    let (fused, spelled) = try both("moments") { program in
      let shape = [1, 4, 4]
      func emit(_ type: String, _ name: String, _ inputs: [String: OperationInput], _ shape: [Int]) throws -> Operand {
        try program.operation(type, name: name, inputs, .float16, shape)
      }
      func mean(_ name: String, _ x: Operand) throws -> Operand {
        try emit("reduce_mean", name, ["x": .value(x), "axes": .ints([-1]), "keep_dims": .bool(false)], [1, 4])
      }
      func constant(_ name: String, _ value: Float) throws -> OperationInput {
        .value(try program.constant(name, [4], half: [UInt16](repeating: HalfPrecision.encode(value), count: 4)))
      }
      let input = program.input("x", .float16, [1, 4, 2, 2])
      let x = try emit("reshape", "grouped", ["x": .value(input), "shape": .ints(shape)], shape)
      let centered = try emit("sub", "centered", ["x": .value(x), "y": .value(try mean("mean", x))], shape)
      let variance = try mean("variance", try emit("square", "squares", ["x": .value(centered)], shape))
      let shifted = try emit("add", "shifted", ["x": .value(variance), "y": .half(1e-3)], [1, 4])
      let root = try emit("sqrt", "root", ["x": .value(shifted)], [1, 4])
      let normal = try emit("real_div", "normal", ["x": .value(centered), "y": .value(root)], shape)
      let image = try emit("reshape", "image", ["x": .value(normal), "shape": .ints([1, 4, 2, 2])], [1, 4, 2, 2])
      let y = try emit(
        "batch_norm", "norm",
        [
          "x": .value(image), "mean": try constant("zeros", 0), "variance": try constant("ones", 1),
          "gamma": try constant("gamma", 0.5), "beta": try constant("beta", 0.25), "epsilon": .half(1e-5),
        ], [1, 4, 2, 2])
      return (y, normal)
    }
    #expect(fused.y.elements.elements == spelled.y.elements.elements)
  }

  @Test(arguments: [false, true]) func groupNorm(silu: Bool) throws {
    let (fused, spelled) = try both("group_norm_\(silu)") { program in
      try groupNorm(program.input("x", .float16, image), program, silu: silu)
    }
    for (a, b) in zip(fused.y.elements.elements, spelled.y.elements.elements) { #expect(abs(a - b) < 1e-5) }
    #expect(fused.peak < spelled.peak)
  }

  /// The shortcut comes first, and the norm then writes over their input.
  @Test func residualBlock() throws {
    let (moved, kept) = try both("residual") { program in try residualBlock(program) }
    #expect(moved.y.elements.elements == kept.y.elements.elements)
    #expect(moved.peak < kept.peak)
  }

  private typealias Run = (y: NamedTensor, peak: Int)
  /// A program's result, and a value inside the chain.
  private typealias Chain = (y: Operand, inside: Operand)

  private func both(_ name: String, _ chain: (ProgramBuilder) throws -> Chain) throws -> (Run, Run) {
    try withScratchFolder { folder in
      let runs = try [false, true].map { asksInside -> Run in
        let path = "\(folder)/\(name)_\(asksInside).mlpackage"
        let writer = try ModelPackageWriter(path)
        let program = ProgramBuilder(target: .iOS16, weights: writer.weights)
        let (y, inside) = try chain(program)
        program.output(y)
        if asksInside { program.output(inside) }
        try writer.finish(program.model())
        let model = try PackageModel(path: path)
        var inputs: [String: NamedTensor] = [:]
        for (index, feature) in model.inputs.enumerated() {
          let shape = feature.shape.compactMap { $0 }
          let values = (0..<shape.reduce(1, *)).map { Float(($0 * 7 + index * 5) % 31) / 16 - 1 }
          inputs[feature.name] = NamedTensor(shape: shape, elements: Buffer(values))
        }
        let given = inputs.mapValues(\.elements.elements)
        let outputs = try model.run(inputs: inputs)
        #expect(inputs.mapValues(\.elements.elements) == given, "an input was written to")
        return (try #require(outputs[y.name]), model.peakMemoryBytes)
      }
      return (runs[0], runs[1])
    }
  }

  private func attention(_ form: Form, _ program: ProgramBuilder) throws -> Chain {
    let (b, h, d, n, m) = (2, 3, 8, 20, 12)
    func emit(
      _ type: String, _ name: String, _ inputs: [String: OperationInput], _ shape: [Int]
    ) throws -> Operand {
      try program.operation(type, name: name, inputs, .float16, shape)
    }
    func scaledSoftmax(_ scores: Operand, axis: Int) throws -> (scaled: Operand, weights: Operand) {
      let scaled = try emit("mul", "scaled", ["x": .value(scores), "y": .half(0.35)], scores.shape)
      return (scaled, try emit("softmax", "weights", ["x": .value(scaled), "axis": .int(axis)], scores.shape))
    }
    switch form {
    case .original:
      let q = program.input("q", .float16, [b, h, d, n])
      let k = program.input("k", .float16, [b, h, d, m])
      let v = program.input("v", .float16, [b, h, d, m])
      let scores = try emit(
        "matmul", "scores", ["x": .value(q), "y": .value(k), "transpose_x": .bool(true), "transpose_y": .bool(false)],
        [b, h, n, m])
      let (scaled, weights) = try scaledSoftmax(scores, axis: -1)
      let y = try emit(
        "matmul", "y", ["x": .value(v), "y": .value(weights), "transpose_x": .bool(false), "transpose_y": .bool(true)],
        [b, h, d, n])
      return (y, scaled)
    case .splitEinsum:
      let q = program.input("q", .float16, [b, d, 1, n])
      let k = program.input("k", .float16, [b, m, 1, d])
      let v = program.input("v", .float16, [b, d, 1, m])
      let scores = try emit(
        "einsum", "scores", ["values": .values([k, q]), "equation": .text("bkhc,bchq->bkhq")], [b, m, 1, n])
      let (scaled, weights) = try scaledSoftmax(scores, axis: 1)
      let y = try emit(
        "einsum", "y", ["values": .values([v, weights]), "equation": .text("bchk,bkhq->bchq")], [b, d, 1, n])
      return (y, scaled)
    case .headsAsKeys:
      let x = program.input("x", .float16, [1, h, h, 4])
      let w = program.input("w", .float16, [1, 4, h, 5])
      let v = program.input("v", .float16, [1, 4, h, h])
      let scores = try emit(
        "einsum", "scores", ["values": .values([x, w]), "equation": .text("nchw,nwhu->nchu")], [1, h, h, 5])
      let (scaled, weights) = try scaledSoftmax(scores, axis: 2)
      let y = try emit(
        "einsum", "y", ["values": .values([v, weights]), "equation": .text("nchw,nwhu->nchu")], [1, 4, h, 5])
      return (y, scaled)
    case .queriesFirst:
      let q = program.input("q", .float16, [b, h, n, d])
      let k = program.input("k", .float16, [b, h, m, d])
      let v = program.input("v", .float16, [b, h, m, d])
      let scores = try emit(
        "matmul", "scores", ["x": .value(q), "y": .value(k), "transpose_x": .bool(false), "transpose_y": .bool(true)],
        [b, h, n, m])
      let weights = try emit("softmax", "weights", ["x": .value(scores), "axis": .int(-1)], scores.shape)
      let y = try emit(
        "matmul", "y",
        ["x": .value(weights), "y": .value(v), "transpose_x": .bool(false), "transpose_y": .bool(false)],
        [b, h, n, d])
      return (y, scores)
    }
  }

  /// `shortcut(x) + convolution(norm(x))`, the shortcut listed last.
  private func residualBlock(_ program: ProgramBuilder) throws -> Chain {
    func convolution(_ name: String, _ x: Operand) throws -> Operand {
      let weights = (0..<4 * 8).map { HalfPrecision.encode(Float($0 % 11) / 8 - 0.6) }
      return try program.operation(
        "conv", name: name,
        [
          "x": .value(x), "weight": .value(try program.constant("\(name)_weight", [4, 8, 1, 1], half: weights)),
          "pad_type": .text("valid"), "strides": .ints([1, 1]), "pad": .ints([0, 0, 0, 0]),
          "dilations": .ints([1, 1]), "groups": .int(1),
        ], .float16, [2, 4, 6, 5])
    }
    let x = try program.operation(
      "mul", name: "twice", ["x": .value(program.input("x", .float16, image)), "y": .half(2)], .float16, image)
    let branch = try convolution("branch", try groupNorm(x, program, silu: true).y)
    let shortcut = try convolution("shortcut", x)
    let y = try program.operation(
      "add", name: "sum", ["x": .value(branch), "y": .value(shortcut)], .float16, branch.shape)
    return (y, x)
  }

  private var image: [Int] { [2, 8, 6, 5] }

  private func heads(_ program: ProgramBuilder) throws -> Chain {
    let (b, h, d, n, m) = (2, 3, 8, 20, 12)
    let q = program.input("q", .float16, [b, h * d, 1, n])
    let k = program.input("k", .float16, [b, m, 1, h * d])
    let v = program.input("v", .float16, [b, h * d, 1, m])
    func slice(_ x: Operand, _ head: Int, axis: Int) throws -> Operand {
      var (begin, end) = ([0, 0, 0, 0], x.shape)
      (begin[axis], end[axis]) = (head * d, (head + 1) * d)
      let shape = zip(begin, end).map { $1 - $0 }
      return try program.operation(
        "slice_by_index", name: "\(x.name)_\(head)", ["x": .value(x), "begin": .ints(begin), "end": .ints(end)],
        .float16, shape)
    }
    let parts = try (0..<h).map { head -> Operand in
      let (key, query) = (try slice(k, head, axis: 3), try slice(q, head, axis: 1))
      let scores = try program.operation(
        "einsum", name: "scores_\(head)",
        ["values": .values([key, query]), "equation": .text("bkhc,bchq->bkhq")], .float16, [b, m, 1, n])
      let weights = try program.operation(
        "softmax", name: "weights_\(head)", ["x": .value(scores), "axis": .int(1)], .float16, scores.shape)
      return try program.operation(
        "einsum", name: "part_\(head)",
        ["values": .values([try slice(v, head, axis: 1), weights]), "equation": .text("bchk,bkhq->bchq")],
        .float16, [b, d, 1, n])
    }
    let y = try program.operation(
      "concat", name: "y", ["values": .values(parts), "axis": .int(1), "interleave": .bool(false)], .float16,
      [b, h * d, 1, n])
    return (y, parts[1])
  }

  private func groupNorm(_ input: Operand, _ program: ProgramBuilder, silu: Bool) throws -> Chain {
    let (full, grouped, moments) = (image, [2, 4, 2, 6, 5], [2, 4, 1, 1, 1])
    func emit(
      _ type: String, _ name: String, _ inputs: [String: OperationInput], _ shape: [Int]
    ) throws -> Operand {
      try program.operation(type, name: name, inputs, .float16, shape)
    }
    func constant(_ name: String, _ value: (Int) -> Float) throws -> OperationInput {
      .value(try program.constant(name, [8], half: (0..<8).map { HalfPrecision.encode(value($0)) }))
    }
    let axes: [String: OperationInput] = ["axes": .ints([2, 3, 4]), "keep_dims": .bool(true)]
    let x = try emit("reshape", "grouped", ["x": .value(input), "shape": .ints(grouped)], grouped)
    let mean = try emit("reduce_mean", "mean", axes.merging(["x": .value(x)]) { $1 }, moments)
    let centered = try emit("sub", "centered", ["x": .value(x), "y": .value(mean)], grouped)
    let square = try emit("square", "squares", ["x": .value(centered)], grouped)
    let variance = try emit("reduce_mean", "variance", axes.merging(["x": .value(square)]) { $1 }, moments)
    let shifted = try emit("add", "shifted", ["x": .value(variance), "y": .half(1e-3)], moments)
    let root = try emit("sqrt", "root", ["x": .value(shifted)], moments)
    let normal = try emit("real_div", "normal", ["x": .value(centered), "y": .value(root)], grouped)
    let image = try emit("reshape", "image", ["x": .value(normal), "shape": .ints(full)], full)
    let y = try emit(
      "batch_norm", "norm",
      [
        "x": .value(image), "mean": try constant("zeros") { _ in 0 }, "variance": try constant("ones") { _ in 1 },
        "gamma": try constant("gamma") { 0.5 + Float($0) / 8 }, "beta": try constant("beta") { Float($0) / 4 - 1 },
        "epsilon": .half(1e-5),
      ], full)
    return (silu ? try emit("silu", "y", ["x": .value(y)], full) : y, normal)
  }
}
