internal import MIL

/// An input or output of a package.
package struct FeatureFact: Codable, Sendable {
  package let name: String
  package let type: String
  /// A dimension that is only known when the program runs is nil.
  package let shape: [Int?]

  /// - Parameter type: as the program declares it.
  init(name: String, _ type: ValueType) {
    self.name = name
    self.type = type.tensor.map { "\($0.dataType)" } ?? "\(type)"
    shape = type.tensor?.dimensions ?? []
  }

  /// Types of other values than tensors are words.
  var typeText: String {
    type.contains(" ") ? type : "\(type)[\(shape.map { $0.map(String.init) ?? "?" }.joined(separator: ", "))]"
  }
  var text: String { "\(name) \(typeText)" }
}

/// What a package's default function takes, gives and consists of, whether it runs here or not.
struct PackageInterface {
  let inputs, outputs: [FeatureFact]
  /// How many operations of each type.
  let operationCounts: [String: Int]

  init(_ package: ModelPackage) throws(MILError) {
    let model = package.model
    guard let function = model.functions[model.defaultFunction] else {
      throw .model(
        package: package.path, expected: "a function '\(model.defaultFunction)'",
        found: "\(model.functions.keys.sorted())")
    }
    inputs = function.inputs.map { FeatureFact(name: $0.name, $0.type) }
    let declared = function.inputs + function.block.operations.flatMap(\.outputs)
    let types = Dictionary(declared.map { ($0.name, $0.type) }) { first, _ in first }
    outputs = function.block.outputs.map { FeatureFact(name: $0, types[$0] ?? .unknown) }
    operationCounts = function.block.operations.reduce(into: [:]) { $0[$1.type, default: 0] += 1 }
  }
}
