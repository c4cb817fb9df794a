/// The oldest system a package is for: it decides which forms of palettes there are.
package enum DeploymentTarget: String, Sendable, CaseIterable {
  case iOS16, iOS17, iOS18

  package var name: String { rawValue }

  /// `specificationVersion` of the model.
  var specification: Int32 {
    switch self {
    case .iOS16: 7
    case .iOS17: 8
    case .iOS18: 9
    }
  }

  /// The operation set of its functions.
  var operationSet: String {
    switch self {
    case .iOS16: "CoreML6"
    case .iOS17: "CoreML7"
    case .iOS18: "CoreML8"
    }
  }

  /// Indices typed below a byte, and palettes as inputs instead of attributes.
  var hasTypedIndices: Bool { self == .iOS18 }

  func supportsPalette(bits: Int) -> Bool { self == .iOS18 || bits != 3 }
}
