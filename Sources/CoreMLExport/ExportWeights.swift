package import Clustering
package import Kernels

/// A weight as it goes into a package.
package enum ExportWeight: Sendable {
  case palettized(PalettizedTensor)
  /// Stored in the program's precision.
  case dense(Buffer)
}

/// Where an export gets its weights from, one after the other in the order of the program.
package protocol ExportWeights {
  /// Says which weights will be asked for, in that order; a source may prepare them ahead.
  func announce(_ names: [String])

  /// - Throws: when there is no such weight.
  func weight(_ name: String) throws -> ExportWeight
}

extension HardWeights: ExportWeights {
  /// All weights are at hand.
  package func announce(_ names: [String]) {}

  package func weight(_ name: String) throws -> ExportWeight {
    switch weights[name] {
    case .palettized(let tensor)?: .palettized(tensor)
    case .half(let buffer)?: .dense(buffer)
    case nil: throw ExportError.missingWeight(name)
    }
  }
}
