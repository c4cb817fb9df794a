import Clustering
import Foundation
import Kernels
import TestSupport
import Testing
import Training

/// Gradients of palettes with groups, vectors and factors of channels, against finite differences and plain sums.
@Suite struct PaletteGradientTests {
  private let shape = [8, 12, 3, 3]
  private let weights: Buffer
  private let upstream: Buffer

  init() {
    func numbers(_ seed: Int, _ size: Double) -> [Float] {
      (0..<864).map { Float(size * sin(Double($0 * seed) * 0.7391 + cos(Double($0 + seed)) * 3)) }
    }
    weights = Buffer(numbers(3, 0.1))
    upstream = Buffer(numbers(5, 1))
  }

  private func elements(_ form: PaletteForm, _ scale: Buffer?) throws -> PaletteElements {
    PaletteElements(weights, form, try form.layout(of: shape), scale: scale)
  }

  private func soft(_ form: PaletteForm, _ scale: Buffer?, _ table: [Float]) throws -> StepPalette {
    let elements = try elements(form, scale)
    let layout = elements.layout
    let size = table.count / layout.groups
    let groups = try (0..<layout.groups).map { group in
      let range = layout.range(group)
      let variance = Elementwise.variance(elements.arranged, range)
      return try SoftClustering(
        weights: elements.arranged, range: range,
        centroids: Array(table[group * size..<(group + 1) * size]),
        options: ClusteringOptions(bits: form.bits, temperature: 0.05 * variance))
    }
    return StepPalette(
      weights: weights, elements: elements, clustering: .soft(groups), keepsZeros: false, learnsEntries: false)
  }

  private func loss(_ palette: StepPalette) -> Double {
    zip(palette.layerWeights().elements, upstream.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  /// Weights are seen through half-precision keys, so differences carry their rounding: 3 % of the largest gradient.
  @Test(arguments: [
    PaletteForm(bits: 2, channelScale: true), PaletteForm(bits: 2, groupSize: 4, axis: 1, channelScale: true),
  ])
  func scaleOfSoftPalettes(form: PaletteForm) throws {
    let layout = try form.layout(of: shape)
    let scale = PaletteElements.scale(of: weights, layout)
    let table = try elements(form, scale).optimalTable()
    let found = try #require(try soft(form, scale, table).pullback(upstream).scale).elements
    let expected = try (0..<layout.channels).map { channel in
      func moved(_ factor: Float) throws -> Double {
        var numbers = scale.elements
        numbers[channel] *= factor
        // The temperature stays: it is no function of the weights to the gradient.
        return loss(try softAtFixedTemperature(form, Buffer(numbers), scale, table))
      }
      return Float((try moved(1.02) - moved(0.98)) / (0.04 * Double(scale[channel])))
    }
    #expect(relativeError(found, expected) < 0.03, "\(found) \(expected)")
  }

  private func softAtFixedTemperature(
    _ form: PaletteForm, _ scale: Buffer, _ original: Buffer, _ table: [Float]
  ) throws -> StepPalette {
    let reference = try elements(form, original)
    let moved = try elements(form, scale)
    let layout = moved.layout
    let size = table.count / layout.groups
    let groups = try (0..<layout.groups).map { group in
      let range = layout.range(group)
      return try SoftClustering(
        weights: moved.arranged, range: range, centroids: Array(table[group * size..<(group + 1) * size]),
        options: ClusteringOptions(
          bits: form.bits, temperature: 0.05 * Elementwise.variance(reference.arranged, range)))
    }
    return StepPalette(
      weights: weights, elements: moved, clustering: .soft(groups), keepsZeros: false, learnsEntries: false)
  }

  @Test(arguments: [
    PaletteForm(bits: 2, groupSize: 4, axis: 1), PaletteForm(bits: 3, groupSize: 4, vector: 2, channelScale: true),
    PaletteForm(bits: 4, axis: 1, vector: 4, entries: .int8),
  ])
  func entriesAndScaleOfFrozenPalettes(form: PaletteForm) throws {
    let layout = try form.layout(of: shape)
    let scale = form.channelScale ? PaletteElements.scale(of: weights, layout) : nil
    let elements = try elements(form, scale)
    let table = try elements.optimalTable()
    let tensor = try elements.palettized(table)
    let indices = layout.arrangement.arranged(tensor.indices)
    let palette = StepPalette(
      weights: weights, elements: elements,
      clustering: .frozen(.init(table: Buffer(tensor.entries.values), indices: indices)), keepsZeros: false,
      learnsEntries: false)
    let gradients = palette.pullback(upstream)
    // The loss is linear in each entry and each factor: a difference is exact but for half precision's rounding.
    let entries = StoredEntries(rounding: tensor.entries.values, form, groups: layout.groups).values
    let slope = zip(entries, gradients.parameter.elements.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(slope - loss(palette)) < 1e-4 * max(1, abs(slope)))
    if let scale, let found = gradients.scale {
      let through = zip(scale.elements, found.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      #expect(abs(through - loss(palette)) < 1e-4 * max(1, abs(through)))
    }
  }

  /// A large weight's gradient is made where it is read, and is that which its palette gives at once.
  @Test func gradientsOfLargeWeightsAreMadeLater() throws {
    let shape = [512, 512]
    let weights = Buffer((0..<512 * 512).map { Float(0.1 * sin(Double($0) * 0.7391 + cos(Double($0)) * 3)) })
    let upstream = Buffer((0..<512 * 512).map { Float(cos(Double($0) * 0.317)) })
    let form = PaletteForm(bits: 2)
    let elements = PaletteElements(weights, form, try form.layout(of: shape), scale: nil)
    let clustering = try SoftClustering(
      weights: weights, centroids: try elements.optimalTable(),
      options: ClusteringOptions(bits: 2, temperature: 0.05 * Elementwise.variance(weights, 0..<weights.count)))
    func parameter(keepsZeros: Bool) -> ParameterGradient {
      StepPalette(
        weights: weights, elements: elements, clustering: .soft([clustering]), keepsZeros: keepsZeros,
        learnsEntries: false
      ).pullback(upstream).parameter
    }
    guard case .keyed = parameter(keepsZeros: false), case .elements(let atOnce) = parameter(keepsZeros: true) else {
      Issue.record("only a gradient that nothing changes is made later")
      return
    }
    let found = parameter(keepsZeros: false).elements.elements
    #expect(found == clustering.pullback(upstream).elements)
    for (index, weight) in weights.elements.enumerated() where weight != 0 {
      guard found[index] == atOnce[index] else {
        Issue.record("weight \(index): \(found[index]) and \(atOnce[index])")
        break
      }
    }
  }

  @Test func prunedWeightsStayZero() throws {
    let numbers = weights.elements.map { abs($0) < 0.05 ? 0 : $0 }
    let form = PaletteForm(bits: 2, enforcesZero: true)
    let pruned = Buffer(numbers)
    let elements = PaletteElements(pruned, form, try form.layout(of: shape), scale: nil)
    let table = try elements.optimalTable()
    let hard = HardClustering(arranged: elements.arranged, elements.layout, table: table)
    let palette = StepPalette(
      weights: pruned, elements: elements, clustering: .hard(hard), keepsZeros: true, learnsEntries: false)
    let gradient = palette.pullback(upstream).parameter.elements.elements
    let applied = palette.layerWeights().elements
    for (index, number) in numbers.enumerated() {
      #expect(number == 0 ? gradient[index] == 0 && applied[index] == 0 : gradient[index] == upstream[index])
    }
    #expect(palette.nextCentroids(after: table).contains(0))
  }
}
