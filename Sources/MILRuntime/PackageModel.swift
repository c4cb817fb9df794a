package import Kernels
package import MIL

/// Values that go into a package or come out of it: 32-bit floats in row-major order.
package struct NamedTensor: Sendable {
  package let shape: [Int]
  package let elements: Buffer

  /// - Precondition: as many elements as the shape says.
  package init(shape: [Int], elements: Buffer) {
    precondition(
      shape.allSatisfy { $0 >= 0 } && shape.reduce(1, *) == elements.count,
      "\(elements.count) elements of shape \(shape)")
    self.shape = shape
    self.elements = elements
  }
}

/// An input or output of a package.
package struct PackageFeature: Sendable, Equatable {
  package let name: String
  package let type: DataType
  /// A dimension that is only known when the program runs is `nil`.
  package let shape: [Int?]
}

/// A package or a compiled model, ready to run: every operation, argument, type and weight record has been checked.
///
/// Arithmetic is in 32-bit floats, whatever widths the program declares. Weights stay as the
/// package stores them and are decoded a few rows at a time where they are used. A model does not
/// change after loading; it may run on several threads at once.
package final class PackageModel: Sendable {
  package let path: String
  package let inputs: [PackageFeature]
  package let outputs: [PackageFeature]
  /// Descriptions, author, licence and what a converter left.
  package let metadata: Metadata
  private let plan: Plan

  /// Whether a path leads to a package or a compiled model, or is meant to by its ending.
  package static func isPackage(_ path: String) -> Bool { ModelPackage.isPackage(path) }

  /// The path of a package's function that takes pictures or latents of this size, its own choice first.
  ///
  /// - Returns: the path as it is if a function stands in it already, or if none fits.
  package static func path(_ path: String, height: Int, width: Int) throws(MILError) -> String {
    guard ModelPackage.parts(of: path).function == nil else { return path }
    let model = try ModelPackage(path).model
    let names = [model.defaultFunction] + model.functions.keys.sorted()
    let fitting = names.first { name in
      model.functions[name]?.inputs.contains { input in
        guard let sizes = input.type.tensor?.dimensions, sizes.count == 4 else { return false }
        return sizes[2] == height && sizes[3] == width
      } ?? false
    }
    return fitting.map { $0 == model.defaultFunction ? path : "\(path)#\($0)" } ?? path
  }

  /// What a converter noted under a key of its own.
  package func note(_ key: String) -> String? { metadata.userDefined[key] }

  /// Loads a package and checks its program.
  ///
  /// - Parameters:
  ///   - path: of the package, with `#` and a function's name behind it if it is not ``function``.
  ///   - function: the function to run; the package's own choice if not given.
  package convenience init(path: String, function: String? = nil) throws(MILError) {
    let parts = ModelPackage.parts(of: path)
    let package = try ModelPackage(parts.package)
    try package.checkContent(isQuick: true)
    try self.init(package, function: function ?? parts.function)
  }

  /// - Parameter package: one whose content was looked at.
  package init(_ package: ModelPackage, function: String? = nil) throws(MILError) {
    let model = package.model
    var verifier = try Verifier(package, function: function)
    plan = try verifier.plan()
    self.path = package.path
    metadata = model.metadata
    inputs = plan.inputs.map {
      PackageFeature(name: $0.name, type: $0.type.dataType, shape: $0.type.dimensions)
    }
    outputs = plan.outputs.map {
      PackageFeature(name: $0.name, type: $0.type.dataType, shape: $0.type.dimensions)
    }
  }

  /// Bytes of values that are alive at once while the program runs, as far as its shapes are known
  /// beforehand.
  package var peakMemoryBytes: Int { plan.peakBytes }

  /// Runs the program.
  ///
  /// Values for fp16 inputs are rounded to half precision, those for integer inputs are cut to
  /// whole numbers.
  package func run(
    inputs: [String: NamedTensor]
  ) throws(MILError) -> [String: NamedTensor] {
    var values = plan.constants
    for name in inputs.keys.sorted() where !plan.inputs.contains(where: { $0.name == name }) {
      throw .input(
        package: path, name: name, expected: "one of \(plan.inputs.map(\.name))", found: name)
    }
    for input in plan.inputs {
      guard let given = inputs[input.name] else {
        throw .input(package: path, name: input.name, expected: "a tensor", found: "none")
      }
      values[input.slot] = try value(given, for: input)
    }
    for step in plan.steps { try step.run(&values) }
    var results: [String: NamedTensor] = [:]
    for output in plan.outputs {
      guard let value = values[output.slot] else {
        preconditionFailure("\(path): output \(output.name) was released")
      }
      let floats = value.floats ?? Buffer((value.wholeNumbers ?? []).map { Float($0) })
      results[output.name] = NamedTensor(shape: value.shape, elements: floats)
    }
    return results
  }

  private func value(
    _ given: NamedTensor, for input: Plan.Port
  ) throws(MILError) -> RuntimeValue {
    let type = input.type
    let fits =
      given.shape.count == type.dimensions.count
      && zip(given.shape, type.dimensions).allSatisfy { $1 == nil || $0 == $1 }
    guard fits else {
      throw .input(
        package: path, name: input.name, expected: "\(type)", found: "shape \(given.shape)")
    }
    switch type.dataType {
    case .float16:
      return RuntimeValue(.float16, given.shape, HalfPrecision.rounded(given.elements))
    case .float32, .float64: return RuntimeValue(type.dataType, given.shape, given.elements)
    default:
      let integers = given.elements.elements.map(Cast.truncated)
      return RuntimeValue(type.dataType, given.shape, .integers(integers))
    }
  }
}
