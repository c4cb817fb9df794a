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
  private let rows = Mutex<[String: (read: Int, gave: Int)]>([:])

  /// - Parameter shapes: of the weights, by name.
  init(_ shapes: [String: Shape]) {
    sums = shapes.mapValues { shape in
      let (outputs, inputs) = (shape[0], shape.count / shape[0])
      return Sums(inputs: Buffer(repeating: 0, count: inputs * inputs), outputs: Buffer(repeating: 0, count: outputs * outputs))
    }
  }

  /// Bytes that the factors of a weight take.
  static func bytes(_ shape: Shape) -> Int {
    let inputs = shape.count / shape[0]
    return 4 * (inputs * inputs + shape[0] * shape[0])
  }

  func read(_ weight: String, _ input: Buffer, _ geometry: ConvolutionGeometry) {
    guard let sum = sums[weight] else { return }
    OuterProducts.accumulatePatches(input, of: geometry, into: sum.inputs)
    rows.withLock { $0[weight, default: (0, 0)].read += geometry.rows }
  }

  func gave(_ weight: String, gradient: Buffer, _ geometry: ConvolutionGeometry) {
    guard let sum = sums[weight] else { return }
    OuterProducts.accumulate(gradient, rows: geometry.rows, width: geometry.outputs, into: sum.outputs)
    rows.withLock { $0[weight, default: (0, 0)].gave += geometry.rows }
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
