package import Foundation

/// A type of a value in a program.
package indirect enum ValueType: Sendable, Equatable, CustomStringConvertible {
  case tensor(TensorType)
  /// - Parameter length: nil if it is only known when the program runs.
  case list(ValueType, length: Int?)
  case tuple([ValueType])
  case dictionary(key: ValueType, value: ValueType)
  case state(ValueType)
  /// Nothing is said.
  case unknown

  package var description: String {
    switch self {
    case .tensor(let type): "\(type)"
    case .list(let element, _): "list of \(element)"
    case .tuple(let elements): "tuple of \(elements)"
    case .dictionary(let key, let value): "dictionary of \(key) and \(value)"
    case .state(let wrapped): "state of \(wrapped)"
    case .unknown: "no type"
    }
  }

  package var tensor: TensorType? {
    if case .tensor(let type) = self { type } else { nil }
  }
}

/// Element type and dimensions; a dimension that is only known when the program runs is `nil`.
package struct TensorType: Sendable, Equatable, CustomStringConvertible {
  package var dataType: DataType
  package var dimensions: [Int?]

  package init(_ dataType: DataType, _ dimensions: [Int?]) {
    self.dataType = dataType
    self.dimensions = dimensions
  }

  /// The dimensions when all of them are known.
  package var shape: [Int]? {
    let known = dimensions.compactMap { $0 }
    return known.count == dimensions.count ? known : nil
  }

  package var description: String {
    "\(dataType)[\(dimensions.map { $0.map(String.init) ?? "?" }.joined(separator: ", "))]"
  }
}

/// A constant inside a program.
package struct Value: Sendable, Equatable {
  package enum Content: Sendable, Equatable {
    case floats([Float])
    case doubles([Double])
    case ints([Int32])
    case longInts([Int64])
    case bools([Bool])
    case strings([String])
    /// Little-endian elements; sub-byte ones are packed, least significant bits first.
    case bytes(Data)
    case list([Value])
    case tuple([Value])
    case dictionary([Entry])
    /// A record of a weight file.
    case blob(file: String, offset: UInt64)
  }

  /// Of a dictionary.
  package struct Entry: Sendable, Equatable {
    package var key, value: Value

    package init(_ key: Value, _ value: Value) {
      self.key = key
      self.value = value
    }
  }

  package var type: ValueType
  package var content: Content

  package init(_ type: ValueType, _ content: Content) {
    self.type = type
    self.content = content
  }

  /// A text of rank 0.
  package init(_ text: String) {
    self.init(.tensor(TensorType(.string, [])), .strings([text]))
  }
}

/// Where an argument comes from.
package enum Binding: Sendable, Equatable {
  /// A value defined earlier.
  case name(String)
  case value(Value)
}

package struct NamedType: Sendable, Equatable {
  package var name: String
  package var type: ValueType

  package init(_ name: String, _ type: ValueType) {
    self.name = name
    self.type = type
  }
}

/// One step of a program.
package struct ProgramOperation: Sendable, Equatable {
  package var type: String
  package var inputs: [String: [Binding]]
  package var outputs: [NamedType]
  package var attributes: [String: Value]
  /// Nested blocks; operations with control flow have them, and none of those is known here.
  package var blockCount: Int

  package init(
    _ type: String, inputs: [String: [Binding]] = [:], outputs: [NamedType],
    attributes: [String: Value] = [:], blockCount: Int = 0
  ) {
    self.type = type
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
    self.blockCount = blockCount
  }

  /// Whether it computes nothing: a stored value, compressed or not.
  package var isConstant: Bool { type == "const" || type.hasPrefix("constexpr_") }
}

/// Operations in an order in which every value is defined before it is used.
package struct Block: Sendable, Equatable {
  package var operations: [ProgramOperation]
  package var outputs: [String]

  package init(operations: [ProgramOperation], outputs: [String]) {
    self.operations = operations
    self.outputs = outputs
  }
}

package struct Function: Sendable, Equatable {
  package var inputs: [NamedType]
  /// The operation set the function is written for, as `CoreML6`.
  package var opset: String
  package var block: Block
  package var attributes: [String: Value]

  package init(inputs: [NamedType], opset: String, block: Block, attributes: [String: Value] = [:]) {
    self.inputs = inputs
    self.opset = opset
    self.block = block
    self.attributes = attributes
  }
}

/// An input or output as an application sees it.
package struct Feature: Sendable, Equatable {
  package var name: String
  package var shortDescription: String
  /// `nil` for images and states.
  package var type: TensorType?
  package var isOptional: Bool

  package init(
    _ name: String, _ type: TensorType?, shortDescription: String = "", isOptional: Bool = false
  ) {
    self.name = name
    self.shortDescription = shortDescription
    self.type = type
    self.isOptional = isOptional
  }
}

package struct Metadata: Sendable, Equatable {
  package var shortDescription = ""
  package var version = ""
  package var author = ""
  package var license = ""
  package var userDefined: [String: String] = [:]

  package init() {}
}

/// What `model.mlmodel` holds: an interface and a program.
package struct Model: Sendable, Equatable {
  package var specificationVersion: Int32
  package var inputs: [Feature]
  package var outputs: [Feature]
  package var metadata: Metadata
  package var functions: [String: Function]
  /// Of the program, such as `buildInfo`.
  package var attributes: [String: Value]
  /// The function to run when none is named; ``inputs`` and ``outputs`` are its own.
  package var defaultFunction: String
  /// Of the other functions that are described.
  package var furtherInterfaces: [String: Interface]

  /// What an application is told of a function.
  package struct Interface: Sendable, Equatable {
    package var inputs, outputs: [Feature]
  }

  /// What is described of a function, if anything is.
  package func interface(of function: String) -> Interface {
    function == defaultFunction
      ? Interface(inputs: inputs, outputs: outputs)
      : furtherInterfaces[function] ?? Interface(inputs: [], outputs: [])
  }

  /// The same with another model's default function as a further one.
  package func adding(_ other: Model) -> Model {
    precondition(functions[other.defaultFunction] == nil, "function '\(other.defaultFunction)' is there twice")
    var model = self
    model.functions[other.defaultFunction] = other.functions[other.defaultFunction]
    model.furtherInterfaces[other.defaultFunction] = Interface(inputs: other.inputs, outputs: other.outputs)
    return model
  }

  package init(
    specificationVersion: Int32, inputs: [Feature], outputs: [Feature], metadata: Metadata,
    functions: [String: Function], attributes: [String: Value] = [:], defaultFunction: String = "main",
    furtherInterfaces: [String: Interface] = [:]
  ) {
    self.specificationVersion = specificationVersion
    self.inputs = inputs
    self.outputs = outputs
    self.metadata = metadata
    self.functions = functions
    self.attributes = attributes
    self.defaultFunction = defaultFunction
    self.furtherInterfaces = furtherInterfaces
  }
}
