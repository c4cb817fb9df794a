package import Tensors

/// A weight that a layer asked for: its name, its shape and a way to its present value.
///
/// The value is read when a layer is called, not when it is built, so that a source can compute it (a palettized
/// weight) and a recomputed block can compute it again instead of keeping it.
package struct Parameter: Sendable {
  package let name: String
  package let shape: Shape
  private let read: @Sendable () -> Tensor

  package init(name: String, shape: Shape, read: @escaping @Sendable () -> Tensor) {
    self.name = name
    self.shape = shape
    self.read = read
  }

  package var value: Tensor { read() }
}

/// Where layers get their weights from.
package protocol ParameterSource: Sendable {
  /// - Throws: when there is no such weight, or it has another shape.
  func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter
  /// Whether a weight exists, for layers that can do without.
  func contains(_ name: String) -> Bool
}

/// A source together with the name of the module that is being built.
package struct ParameterScope: Sendable {
  package let source: any ParameterSource
  package let path: String

  package init(_ source: any ParameterSource, path: String = "") {
    self.source = source
    self.path = path
  }

  /// The scope of a child module.
  package subscript(name: String) -> ParameterScope {
    ParameterScope(source, path: path.isEmpty ? name : "\(path).\(name)")
  }

  package subscript(index: Int) -> ParameterScope { self["\(index)"] }

  package func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    try source.parameter(self[name].path, shape)
  }

  package func contains(_ name: String) -> Bool { source.contains(self[name].path) }

  /// A module's only part, or the module where the file's names leave the part out, as those of transformers 5 do.
  ///
  /// - Parameter weight: the name of one in the part.
  package func onlyPart(_ name: String, with weight: String) -> ParameterScope {
    contains(weight) && !self[name].contains(weight) ? self : self[name]
  }
}

/// A weight that a model and its file do not agree about.
package enum ParameterError: Error, CustomStringConvertible, Equatable {
  case missing(String, shape: Shape, file: String)
  case misshapen(String, expected: Shape, found: Shape, file: String)
  case unused([String], file: String)
  /// An element that a package cannot hold.
  case value(String, index: Int, value: Float, largest: Float, file: String)

  package var description: String {
    switch self {
    case .missing(let name, let shape, let file):
      "\(file): weight '\(name)' \(shape) is missing: is config.json of this model?"
    case .misshapen(let name, let expected, let found, let file):
      "\(file): weight '\(name)' should be \(expected) by config.json, found \(found)"
    case .unused(let names, let file):
      "\(file): \(names.count) weights that the model of config.json does not have: "
        + names.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
        + (names.count > 3 ? ", …" : "")
    case .value(let name, let index, let value, let largest, let file):
      "\(file): weight '\(name)': element \(index) is \(value), expected a number of magnitude \(largest) at most"
    }
  }
}
