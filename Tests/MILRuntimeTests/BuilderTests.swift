import Foundation
import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// Programs written by the builder, run by the runner.
@Suite struct BuilderTests {
  static let shape = [8, 4, 3, 3]

  struct Form: Sendable, CustomStringConvertible {
    let description: String
    let target: DeploymentTarget
    var bits = 4
    var groups = 1
    var vector = 1
    var hasScale = false
    var hasNarrowTable = false
  }

  static let forms =
    [DeploymentTarget.iOS16, .iOS17].flatMap { target in
      [1, 2, 4, 6, 8].map { Form(description: "\(target) \($0) bits", target: target, bits: $0) }
    }
    + [1, 2, 3, 4, 6, 8].map { Form(description: "iOS18 \($0) bits", target: .iOS18, bits: $0) }
    + [
      Form(description: "iOS18 groups", target: .iOS18, groups: 4),
      Form(description: "iOS18 vectors", target: .iOS18, vector: 2),
      Form(description: "iOS18 group vectors", target: .iOS18, groups: 2, vector: 2),
      Form(description: "iOS18 scales", target: .iOS18, hasScale: true),
      Form(
        description: "iOS18 all", target: .iOS18, bits: 3, groups: 2, vector: 2, hasScale: true),
      Form(
        description: "iOS18 8-bit table", target: .iOS18, groups: 2, hasNarrowTable: true),
      Form(description: "iOS26 8-bit table", target: .iOS26, groups: 2, hasNarrowTable: true),
      Form(description: "iOS26 scales", target: .iOS26, hasScale: true),
    ]

  @Test(arguments: forms) func palettizedConvolution(_ form: Form) throws {
    let (weight, dense) = try makeWeight(form)
    try withScratchFolder { folder in
      let path = "\(folder)/\(ProgramBuilder.identifier(form.description)).mlpackage"
      try write(path, form.target, weight)
      let model = try PackageModel(path: path)
      #expect(model.inputs.map(\.shape) == [[1, 4, 5, 5]])
      let x = (0..<100).map { Float($0 % 13) / 8 - 0.5 }
      let result = try model.run(
        inputs: ["x": NamedTensor(shape: [1, 4, 5, 5], elements: Buffer(x))])
      let y = try #require(result["y"])
      #expect(y.shape == [1, 8, 5, 5])
      for (at, expected) in convolve(x, dense).enumerated() {
        #expect(abs(y.elements[at] - expected) < 1e-4)
      }
    }
  }

  private func write(
    _ path: String, _ target: DeploymentTarget, _ weight: PalettizedWeight
  ) throws {
    let writer = try ModelPackageWriter(path)
    let program = ProgramBuilder(target: target, weights: writer.weights)
    let x = program.input("x", .float16, [1, 4, 5, 5])
    let w = try program.weight("w_palettized", weight)
    let bias = try program.constant(
      "b", [8], half: (0..<8).map { HalfPrecision.encode(Float($0)) })
    let h = try program.operation(
      "conv", name: "h",
      [
        "x": .value(x), "weight": .value(w), "bias": .value(bias), "strides": .ints([1, 1]),
        "pad_type": .text("custom"), "pad": .ints([1, 1, 1, 1]), "dilations": .ints([1, 1]),
        "groups": .int(1),
      ], .float16, [1, 8, 5, 5])
    let parts = try program.operation(
      "split", name: "parts", ["x": .value(h), "axis": .int(1), "num_splits": .int(2)],
      results: [("part_0", .float16, [1, 4, 5, 5]), ("part_1", .float16, [1, 4, 5, 5])])
    let joined = try program.operation(
      "concat", name: "joined",
      ["values": .values(parts), "axis": .int(1), "interleave": .bool(false)], .float16,
      [1, 8, 5, 5])
    program.output(
      try program.operation(
        "cast", name: "y", ["x": .value(joined), "dtype": .text("fp32")], .float32,
        [1, 8, 5, 5]))
    var metadata = Metadata()
    metadata.author = "sdtune"
    metadata.userDefined = ["b": "2", "a": "1"]
    try writer.finish(program.model(metadata: metadata))
  }

  /// A weight of a form, and the dense numbers it stands for, worked out from the definition.
  private func makeWeight(_ form: Form) throws -> (PalettizedWeight, [Float]) {
    let (count, entries) = (Self.shape.reduce(1, *), 1 << form.bits)
    let row = count / 8
    let codes = (0..<count / form.vector).map { UInt8(($0 * 7 + $0 / 5) % entries) }
    let raw = (0..<form.groups * entries * form.vector).map { Float(($0 * 37 + 11) % 101 - 50) }
    let scales = (0..<8).map { Float($0 + 1) / 8 }
    let tableScales = (0..<form.groups).map { Float($0 + 1) / 64 }
    let table: [Float] = raw.enumerated().map { at, value in
      form.hasNarrowTable ? value * tableScales[at / (entries * form.vector)] : value / 32
    }
    let dense = (0..<count).map { at -> Float in
      let channel = at / row
      let index = Int(codes[channel / form.vector * row + at % row])
      let group = channel / form.vector / (8 / form.vector / form.groups)
      let value = table[(group * entries + index) * form.vector + channel % form.vector]
      return form.hasScale ? HalfPrecision.round(value * scales[channel]) : value
    }
    let weight = PalettizedWeight(
      shape: Self.shape, indices: PackedIndices(codes, bits: form.bits),
      table: form.hasNarrowTable
        ? .int8(raw.map { Int8($0) }, scales: tableScales.map { HalfPrecision.encode($0) })
        : .half(table.map { HalfPrecision.encode($0) }),
      groups: form.groups, vector: form.vector,
      scale: form.hasScale ? scales.map { HalfPrecision.encode($0) } : nil)
    return (weight, dense)
  }

  /// A 3 × 3 convolution with a border of zeros, from its definition; the bias is the channel's
  /// number.
  private func convolve(_ x: [Float], _ weight: [Float]) -> [Float] {
    var y: [Float] = []
    for channel in 0..<8 {
      for row in 0..<5 {
        for column in 0..<5 {
          var sum = Float(channel)
          for (tap, factor) in weight[channel * 36..<channel * 36 + 36].enumerated() {
            let (i, j) = (row + tap % 9 / 3 - 1, column + tap % 3 - 1)
            guard (0..<5).contains(i), (0..<5).contains(j) else { continue }
            let rounded = HalfPrecision.round(x[(tap / 9 * 5 + i) * 5 + j])
            sum += factor * rounded
          }
          y.append(sum)
        }
      }
    }
    return y
  }

  @Test(arguments: [
    Form(description: "3 bits", target: .iOS16, bits: 3),
    Form(description: "groups", target: .iOS17, groups: 2),
    Form(description: "vectors", target: .iOS16, vector: 2),
    Form(description: "scales", target: .iOS16, hasScale: true),
    Form(description: "8-bit table", target: .iOS16, hasNarrowTable: true),
  ]) func olderTargetsRefuse(_ form: Form) throws {
    let (weight, _) = try makeWeight(form)
    #expect(weight.obstacle(for: form.target) != nil)
    let scratch = try ScratchFolder()
    let writer = try ModelPackageWriter(scratch.file("a.mlpackage"))
    let program = ProgramBuilder(target: form.target, weights: writer.weights)
    #expect(throws: MILError.self) { try program.weight("w", weight) }
  }

  @Test func namesAreIdentifiers() {
    #expect(ProgramBuilder.identifier("down.0.weight-x") == "down_0_weight_x")
    #expect(ProgramBuilder.identifier("0a") == "_0a")
    #expect(ProgramBuilder.identifier("") == "_")
  }
}
