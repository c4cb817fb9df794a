package import Kernels

/// A network's weights as they are exported: palettes, and half precision where there is none.
package struct HardWeights: Sendable {
  package enum Weight: Sendable {
    case palettized(PalettizedTensor)
    /// Every element is a binary16 number.
    case half(Buffer)

    /// The elements in 32 bits, exactly.
    package var decoded: Buffer {
      switch self {
      case .palettized(let tensor): tensor.decoded()
      case .half(let buffer): buffer
      }
    }
  }

  /// Axes of each weight, outermost first.
  package let shapes: [String: [Int]]
  package let weights: [String: Weight]

  package init(shapes: [String: [Int]], weights: [String: Weight]) {
    precondition(Set(shapes.keys) == Set(weights.keys), "hard weights: shapes of other weights")
    self.shapes = shapes
    self.weights = weights
  }

  package var names: [String] { weights.keys.sorted() }

  /// Bits that the weights take when stored, tables included.
  package var storedBits: Int {
    weights.values.reduce(0) { bits, weight in
      switch weight {
      case .palettized(let tensor): bits + tensor.storedBits
      case .half(let buffer): bits + buffer.count * 16
      }
    }
  }

  package var elementCount: Int { shapes.values.reduce(0) { $0 + $1.reduce(1, *) } }

  /// Average over all weights, palettized or not, tables included.
  package var bitsPerWeight: Double { Double(storedBits) / Double(max(1, elementCount)) }
}
