/// The system a package is made for, which decides how constants are encoded.
package enum DeploymentTarget: String, Sendable, CaseIterable {
  case iOS16, iOS17, iOS18, iOS26

  package var specificationVersion: Int32 {
    switch self {
    case .iOS16: 7
    case .iOS17: 8
    case .iOS18: 9
    case .iOS26: 10
    }
  }

  /// The operation set's name in a program.
  package var opset: String {
    switch self {
    case .iOS16: "CoreML6"
    case .iOS17: "CoreML7"
    case .iOS18: "CoreML8"
    case .iOS26: "CoreML9"
    }
  }

  /// Whether compressed constants take inputs, know 3 bits, groups, vectors and scales.
  package var hasGroupedPalettes: Bool { specificationVersion >= 9 }

  /// Whether palettes of 8-bit numbers are looked up first and scaled afterwards, and not the other way round.
  ///
  /// coremltools 9, which puts either order into the one that a target wants, says so (`canonicalize_quantized_lut_pattern`).
  package var scalesAfterLookup: Bool { self == .iOS26 }

  /// Whether factors of channels go into the palettes where every channel has its own: as an operation of their own they
  /// stop the neural engine of macOS 26.
  package var foldsChannelScales: Bool { self == .iOS26 }

  /// Widths of palette indices that can be stored.
  package var paletteBits: [Int] {
    hasGroupedPalettes ? [1, 2, 3, 4, 6, 8] : [1, 2, 4, 6, 8]
  }
}

/// A value in a program that is being built.
package struct Operand: Sendable, Hashable {
  package let name: String
  package let dataType: DataType
  package let shape: [Int]

  package var type: TensorType { TensorType(dataType, shape) }
}

/// What an operation's argument is given as; literals become constants of their own.
package enum OperationInput: Sendable {
  case value(Operand)
  case values([Operand])
  case int(Int)
  case ints([Int])
  case bool(Bool)
  case bools([Bool])
  case text(String)
  /// A scalar in half precision, as epsilons and factors beside half-precision tensors must be.
  case half(Float)
  /// A scalar in single precision.
  case single(Float)
}
