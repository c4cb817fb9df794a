import Clustering
import Foundation
import Kernels
import Testing

/// Palettes chosen by what errors do, not by how large they are.
@Suite struct SecondOrderRoundingTests {
  private let rows = 12
  private let columns = 36

  private func identity(_ size: Int) -> Buffer {
    Buffer((0..<size * size).map { $0 % (size + 1) == 0 ? 1 : 0 })
  }

  /// Neighbours correlate at 0.9.
  private func correlated(_ size: Int) -> Buffer {
    Buffer((0..<size * size).map { Float(pow(0.9, Double(abs($0 / size - $0 % size)))) })
  }

  private func weights() -> Buffer { Buffer(normalNumbers(rows * columns, deviation: 0.02).map(Float.init)) }

  private func error(_ weights: Buffer, _ tensor: PalettizedTensor, _ factors: KroneckerFactors) -> Double {
    let lacking = Buffer(zip(weights.elements, tensor.decoded().elements).map { $0 - $1 })
    let descent = CoordinateDescent(
      rowFactor: factors.outputs, columnFactor: factors.inputs, rows: rows, columns: columns)
    return zip(descent.product(lacking).elements, lacking.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  private func rounded(_ form: PaletteForm, _ factors: KroneckerFactors) throws -> (near: Double, chosen: Double) {
    let weights = weights()
    let layout = try form.layout(of: [rows, columns / 9, 3, 3])
    let elements = PaletteElements(
      weights, form, layout, scale: form.channelScale ? PaletteElements.scale(of: weights, layout) : nil)
    let near = try elements.palettized(elements.optimalTable())
    let chosen = try SecondOrderRounding(weights, elements, factors, keepsZeros: false)()
    #expect(chosen.storedBits == near.storedBits)
    return (error(weights, near, factors), error(weights, chosen, factors))
  }

  /// Where errors count by their size alone, it is exact k-means.
  @Test(arguments: [1, 2, 4])
  func withoutCorrelationsItIsKMeans(bits: Int) throws {
    let factors = KroneckerFactors(inputs: identity(columns), outputs: identity(rows))
    let errors = try rounded(PaletteForm(bits: bits), factors)
    #expect(abs(errors.chosen / errors.near - 1) < 0.002, "\(errors)")
  }

  /// Errors of neighbours cancel each other, whatever the palettes' form.
  @Test(arguments: [
    PaletteForm(bits: 2), PaletteForm(bits: 4), PaletteForm(bits: 3, groupSize: 4),
    PaletteForm(bits: 2, groupSize: 2, axis: 1), PaletteForm(bits: 2, channelScale: true),
    PaletteForm(bits: 2, axis: 1, channelScale: true), PaletteForm(bits: 3, entries: .int8),
    PaletteForm(bits: 3, enforcesZero: true),
  ])
  func correlatedErrorsCancel(form: PaletteForm) throws {
    let factors = KroneckerFactors(inputs: correlated(columns), outputs: correlated(rows))
    let errors = try rounded(form, factors)
    #expect(errors.chosen < errors.near / 2.5, "\(form): \(errors)")
  }

  /// Weights that are zero stay so, and others may move there.
  @Test func prunedWeightsStay() throws {
    let weights = Buffer(weights().elements.map { abs($0) < 0.01 ? 0 : $0 })
    let form = PaletteForm(bits: 3, enforcesZero: true)
    let elements = PaletteElements(weights, form, try form.layout(of: [rows, columns]), scale: nil)
    let factors = KroneckerFactors(inputs: correlated(columns), outputs: correlated(rows))
    let decoded = try SecondOrderRounding(weights, elements, factors, keepsZeros: true)().decoded().elements
    #expect(weights.elements.indices.allSatisfy { weights[$0] != 0 || decoded[$0] == 0 })
    #expect(decoded.contains { $0 != 0 })
  }

  /// A layer that nothing was seen of is clustered as without calibration.
  @Test func nothingSeen() throws {
    let nothing = KroneckerFactors.damping(
      inputs: Buffer(repeating: 0, count: columns * columns), outputs: Buffer(repeating: 0, count: rows * rows))
    let weights = weights()
    let form = PaletteForm(bits: 2)
    let elements = PaletteElements(weights, form, try form.layout(of: [rows, columns]), scale: nil)
    let (near, chosen) = (
      try elements.palettized(elements.optimalTable()),
      try SecondOrderRounding(weights, elements, nothing, keepsZeros: false)()
    )
    #expect(zip(near.decoded().elements, chosen.decoded().elements).allSatisfy { abs($0 - $1) < 1e-3 })
  }
}
