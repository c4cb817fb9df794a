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
  private let counts = Mutex<[String: (batches: Int, rows: Int)]>([:])

  /// Positions of a picture that count, about: neighbours tell little that is new.
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

  func saw(_ weight: String, input: Buffer, gradient: Buffer, _ geometry: ConvolutionGeometry) {
    guard let sum = sums[weight] else { return }
    let length = geometry.outputWidth
    let every = every(geometry.rows / max(1, pictures))
    let seen = counts.withLock { $0[weight]?.batches ?? 0 }
    let lines = Array(
      stride(from: min(seen % every, geometry.rows / length - 1), to: geometry.rows / length, by: every))
    OuterProducts.accumulatePatches(input, of: geometry, lines: lines, into: sum.inputs)
    OuterProducts.accumulate(gradient, lines: lines, length: length, width: geometry.outputs, into: sum.outputs)
    counts.withLock {
      let earlier = $0[weight] ?? (0, 0)
      $0[weight] = (earlier.batches + 1, earlier.rows + lines.count * length)
    }
  }

  /// One of how many lines counts: an odd number, so that lines of pictures of an even height take turns.
  private func every(_ positions: Int) -> Int {
    positions > Self.positions ? (positions + Self.positions - 1) / Self.positions | 1 : 1
  }

  /// The means, damped; nothing for weights that the network did not use. The sums are used up.
  func factors() -> [String: KroneckerFactors] {
    let counts = counts.withLock { $0 }
    var factors: [String: KroneckerFactors] = [:]
    for (name, sum) in sums {
      guard let count = counts[name], count.rows > 0 else { continue }
      for factor in [sum.inputs, sum.outputs] {
        OuterProducts.finish(factor, width: KroneckerFactors.width(factor), dividingBy: Double(count.rows))
      }
      factors[name] = .damping(inputs: sum.inputs, outputs: sum.outputs)
    }
    return factors
  }
}
