internal import Clustering
internal import Kernels
internal import Synchronization
internal import Tensors

/// Sums up the Kronecker factors of some weights while a network runs.
final class FactorSums: WeightObserver {
  private struct Sums: Sendable {
    let inputs: Buffer
    let outputs: Buffer
  }

  private let sums: [String: Sums]
  /// Rows of a batch.
  private let pictures: Int
  private let rows = Mutex<[String: (read: Int, gave: Int)]>([:])

  /// Positions of a picture that count at most: neighbours tell little that is new.
  private static let positions = 1024

  /// - Parameters:
  ///   - shapes: of the weights, by name.
  ///   - pictures: rows of every batch that the network gets.
  init(_ shapes: [String: Shape], pictures: Int) {
    self.pictures = pictures
    sums = shapes.mapValues { shape in
      let (outputs, inputs) = (shape[0], shape.count / shape[0])
      return Sums(
        inputs: Buffer(repeating: 0, count: inputs * inputs), outputs: Buffer(repeating: 0, count: outputs * outputs))
    }
  }

  /// Bytes that the factors of a weight take.
  static func bytes(_ shape: Shape) -> Int {
    let inputs = shape.count / shape[0]
    return 4 * (inputs * inputs + shape[0] * shape[0])
  }

  func read(_ weight: String, _ input: Buffer, _ geometry: ConvolutionGeometry) {
    guard let sum = sums[weight] else { return }
    let counted = OuterProducts.accumulatePatches(input, of: geometry, every: every(geometry), into: sum.inputs)
    rows.withLock { $0[weight, default: (0, 0)].read += counted }
  }

  func gave(_ weight: String, gradient: Buffer, _ geometry: ConvolutionGeometry) {
    guard let sum = sums[weight] else { return }
    let counted = OuterProducts.accumulate(
      gradient, rows: geometry.rows, width: geometry.outputs, every: every(geometry), into: sum.outputs)
    rows.withLock { $0[weight, default: (0, 0)].gave += counted }
  }

  private func every(_ geometry: ConvolutionGeometry) -> Int {
    max(1, geometry.rows / max(1, pictures) / Self.positions)
  }

  /// The means; nothing for weights that the network did not use. The sums are used up.
  func factors() -> [String: KroneckerFactors] {
    let rows = rows.withLock { $0 }
    var factors: [String: KroneckerFactors] = [:]
    for (name, sum) in sums {
      guard let count = rows[name], count.read > 0, count.gave > 0 else { continue }
      let (inputs, outputs) = (Self.size(sum.inputs), Self.size(sum.outputs))
      OuterProducts.finish(sum.inputs, width: inputs, dividingBy: Double(count.read))
      OuterProducts.finish(sum.outputs, width: outputs, dividingBy: Double(count.gave))
      factors[name] = KroneckerFactors(inputs: sum.inputs, outputs: sum.outputs)
    }
    return factors
  }

  private static func size(_ factor: Buffer) -> Int { Int(Double(factor.count).squareRoot().rounded()) }
}
