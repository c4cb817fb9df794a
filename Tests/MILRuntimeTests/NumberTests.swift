import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// What operations make of numbers that are not ordinary: as numpy, which the operations' definitions in coremltools
/// (`converters/mil/mil/ops/defs`) compute with.
@Suite struct NumberTests {
  struct Case: Sendable, CustomStringConvertible {
    let type: String
    var inputs: [(name: String, values: [Float])] = []
    var shape: [Int]?
    var arguments: [String: OperationInput] = [:]
    /// Whether inputs and result are whole numbers.
    var isWhole = false
    let result: [Int]
    let expected: [Float]
    var description: String { "\(type) of \(inputs.map(\.values)) \(arguments.keys.sorted())" }
  }

  static let cases: [Case] = divisions + noNumbers + wholeNumbers + places

  private static let dividends: [(name: String, values: [Float])] = [
    ("x", [1, 1e8, 360, 1, -1, -7, 7]), ("y", [0.1, 3, 0.1, .infinity, .infinity, 2, -2]),
  ]
  private static let divisions = [
    Case(
      type: "mod", inputs: dividends, result: [7],
      expected: [0.09999998658895493, 1, 0.09999463707208633, 1, .infinity, 1, -1]),
    Case(type: "floor_div", inputs: dividends, result: [7], expected: [9, 33_333_334, 3599, 0, -1, -4, -4]),
  ]

  private static let some: [(name: String, values: [Float])] = [("x", [.nan, 1, -1])]
  private static let noNumbers = [
    Case(type: "relu", inputs: some, result: [3], expected: [.nan, 1, 0]),
    Case(type: "sign", inputs: some, result: [3], expected: [.nan, 1, -1]),
    Case(type: "softmax", inputs: some, arguments: ["axis": .int(0)], result: [3], expected: [.nan, .nan, .nan]),
    Case(
      type: "reduce_max", inputs: some, arguments: ["axes": .ints([0]), "keep_dims": .bool(true)], result: [1],
      expected: [.nan]),
    Case(
      type: "reduce_min", inputs: some, arguments: ["axes": .ints([0]), "keep_dims": .bool(true)], result: [1],
      expected: [.nan]),
  ]

  /// Beyond what single precision can tell apart; seven less than 2²⁴ is taken off at the end.
  private static let large: [(name: String, values: [Float])] = [("x", [16_777_216, 1, 0, 3])]
  private static func reduced(_ type: String, _ expected: Float) -> Case {
    Case(
      type: type, inputs: large, arguments: ["axes": .ints([0]), "keep_dims": .bool(true)], isWhole: true, result: [1],
      expected: [expected])
  }
  private static let wholeNumbers = [
    reduced("reduce_sum", 11), reduced("reduce_max", 7), reduced("reduce_min", -16_777_209),
    Case(
      type: "cumsum", inputs: large, arguments: ["axis": .int(0), "exclusive": .bool(false), "reverse": .bool(false)],
      isWhole: true, result: [4], expected: [7, 8, 8, 11]),
    Case(
      type: "range_1d", arguments: ["start": .int(16_777_216), "end": .int(16_777_221), "step": .int(1)], isWhole: true,
      result: [5], expected: [7, 8, 9, 10, 11]),
    Case(
      type: "fill", arguments: ["shape": .ints([2]), "value": .int(16_777_217)], isWhole: true, result: [2],
      expected: [8, 8]),
    Case(
      type: "one_hot", inputs: [("indices", [2, 0, 9, -1])],
      arguments: ["one_hot_vector_size": .int(3), "on_value": .int(16_777_217), "off_value": .int(16_777_209)],
      isWhole: true, result: [4, 3], expected: [0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
    Case(
      type: "one_hot", inputs: [("indices", [1, 0])],
      arguments: [
        "one_hot_vector_size": .int(2), "axis": .int(0), "on_value": .int(16_777_216), "off_value": .int(16_777_209),
      ], isWhole: true, result: [2, 2], expected: [0, 7, 7, 0]),
  ]

  private static let row: [(name: String, values: [Float])] = [("x", (0..<14).map { Float($0) })]
  private static let places = [
    Case(
      type: "resize_nearest_neighbor", inputs: row, shape: [1, 1, 1, 14],
      arguments: ["target_size_height": .int(1), "target_size_width": .int(18)], result: [1, 1, 1, 18],
      expected: (0..<18).map { Float($0 * 14 / 18) }),
    // Of what coremltools' own tests expect: sizes come from the factor, places from the sizes.
    Case(
      type: "upsample_nearest_neighbor", inputs: [("x", [0, 1])], shape: [1, 1, 2, 1],
      arguments: ["scale_factor_height": .single(2.4), "scale_factor_width": .single(1)], result: [1, 1, 4, 1],
      expected: [0, 0, 1, 1]),
    Case(
      type: "upsample_nearest_neighbor", inputs: [("x", (0..<10).map { Float($0) })], shape: [1, 1, 10, 1],
      arguments: ["scale_factor_height": .single(0.7), "scale_factor_width": .single(1)], result: [1, 1, 7, 1],
      expected: [0, 1, 2, 4, 5, 7, 8]),
    Case(
      type: "squeeze", inputs: [("x", [1, 2, 3, 4, 5, 6])], shape: [2, 3, 1], arguments: ["axes": .ints([0, 2])],
      result: [2, 3], expected: [1, 2, 3, 4, 5, 6]),
  ]

  @Test(arguments: cases) func asNumpy(_ item: Case) throws {
    try withScratchFolder { folder in
      let path = "\(folder)/numbers.mlpackage"
      let writer = try ModelPackageWriter(path)
      let program = ProgramBuilder(target: .iOS18, weights: writer.weights)
      let type: DataType = item.isWhole ? .int32 : .float32
      var arguments = item.arguments
      var inputs: [String: NamedTensor] = [:]
      for (name, values) in item.inputs {
        let shape = item.shape ?? [values.count]
        arguments[name] = .value(program.input(name, type, shape))
        inputs[name] = NamedTensor(shape: shape, elements: Buffer(values))
      }
      // A program has an input, whatever its result is of.
      let spare = program.input("spare", type, [1])
      inputs["spare"] = NamedTensor(shape: [1], elements: Buffer([0]))
      var result = try program.operation(item.type, name: "result", arguments, type, item.result)
      if item.isWhole {
        result = try program.operation(
          "sub", name: "less", ["x": .value(result), "y": .int(16_777_209)], type, item.result)
        result = try program.operation("add", name: "y", ["x": .value(result), "y": .value(spare)], type, item.result)
      }
      program.output(result)
      try writer.finish(program.model())
      let y = try #require(try PackageModel(path: path).run(inputs: inputs)[result.name])
      #expect(y.shape == item.result)
      let elements = y.elements.elements
      #expect(elements.count == item.expected.count)
      for (a, b) in zip(elements, item.expected) {
        #expect(a == b || a.isNaN && b.isNaN, "\(elements) instead of \(item.expected)")
      }
    }
  }
}
