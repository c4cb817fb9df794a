package import Kernels

/// What errors of a layer's weight do to the network's answer, to second order: E costs ½ ⟨E, G E A⟩.
///
/// A is the mean outer product of what the layer reads, G that of the gradients at what it gives: the Kronecker-factored
/// curvature of Martens & Grosse (2015), and for convolutions, whose positions count as samples, Grosse & Martens (2016).
package struct KroneckerFactors: Sendable {
  /// A. `[inputs, inputs]`, inputs being all axes of the weight but the first, as it is stored.
  package let inputs: Buffer
  /// G. `[outputs, outputs]`
  package let outputs: Buffer

  package init(inputs: Buffer, outputs: Buffer) {
    self.inputs = inputs
    self.outputs = outputs
  }

  /// Of the mean of a diagonal. The factors see a layer alone, as if all others stayed as they were: measured on the
  /// bundled model, answers are best with a tenth to three tenths (docs/quality.md).
  private static let damping = 0.2

  /// Of factors that were measured, with a multiple of the identity added to each in place.
  package static func damping(inputs: Buffer, outputs: Buffer) -> KroneckerFactors {
    damp(inputs)
    damp(outputs)
    return KroneckerFactors(inputs: inputs, outputs: outputs)
  }

  private static func damp(_ factor: Buffer) {
    let diagonal = stride(from: 0, to: factor.count, by: width(factor) + 1)
    let sum = diagonal.reduce(0) { $0 + Double(factor[$1]) }
    // Where nothing was seen, weights count alike.
    let added = sum > 0 ? Float(damping * sum / Double(width(factor))) : 1
    for place in diagonal { factor.pointer[place] += added }
  }

  /// Rows of a square factor.
  package static func width(_ factor: Buffer) -> Int { Int(Double(factor.count).squareRoot().rounded()) }

  /// What the square of each weight's error counts when it alone errs. `[outputs, inputs]`
  package var diagonal: Buffer {
    let (rows, columns) = (Self.diagonal(outputs), Self.diagonal(inputs))
    return Buffer(rows.flatMap { row in columns.map { row * $0 } })
  }

  private static func diagonal(_ factor: Buffer) -> [Float] {
    stride(from: 0, to: factor.count, by: width(factor) + 1).map { factor[$0] }
  }
}
