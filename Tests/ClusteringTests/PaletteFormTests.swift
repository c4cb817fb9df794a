import Clustering
import Kernels
import Testing

/// Palettes of every form that Core ML holds, against what their definition says of each element.
@Suite struct PaletteFormTests {
  static let forms: [PaletteForm] = [
    PaletteForm(bits: 4),
    PaletteForm(bits: 2, groupSize: 4),
    PaletteForm(bits: 3, groupSize: 8, axis: 1),
    PaletteForm(bits: 2, channelScale: true),
    PaletteForm(bits: 2, groupSize: 1, channelScale: true),
    PaletteForm(bits: 4, groupSize: 8, channelScale: true, entries: .int8),
    PaletteForm(bits: 4, entries: .int8, enforcesZero: true),
    PaletteForm(bits: 6, axis: 1, vector: 2),
    PaletteForm(bits: 4, groupSize: 8, axis: 0, vector: 4),
    PaletteForm(bits: 4, groupSize: 8, axis: 1, vector: 2, channelScale: true, entries: .int8, enforcesZero: true),
  ]

  private let shape = [16, 24, 3, 3]
  private let weights = Buffer(
    normalNumbers(16 * 24 * 9, deviation: 0.05).enumerated().map { index, number in
      // Channels of different spread, which groups and scales are for.
      Float(number * (1 + Double(index / 216 % 5)))
    })

  /// Element by element: entry `index` of the palette of its channel's group, component `channel mod vector`, times the
  /// channel's scale, in half precision.
  private func decoded(_ tensor: PalettizedTensor) -> [Float] {
    let layout = tensor.layout
    let values = tensor.entries.values
    let pitch = layout.vector << tensor.bits
    let strides = layout.shape.indices.map { layout.shape.dropFirst($0 + 1).reduce(1, *) }
    let indexStrides = layout.shape.indices.map { layout.indexShape.dropFirst($0 + 1).reduce(1, *) }
    return (0..<layout.count).map { place in
      let position = layout.shape.indices.map { place / strides[$0] % layout.shape[$0] }
      let channel = position[layout.axis]
      let at = layout.shape.indices.reduce(0) { at, axis in
        at + (axis == layout.axis ? position[axis] / layout.vector : position[axis]) * indexStrides[axis]
      }
      let group = channel / (layout.channels / layout.groups)
      let entry = Int(tensor.indices[at]) * layout.vector + channel % layout.vector
      let value = values[group * pitch + entry]
      return tensor.scale.map { HalfPrecision.round(value * HalfPrecision.decode($0[channel])) } ?? value
    }
  }

  private func palettized(_ form: PaletteForm) throws -> PalettizedTensor {
    let layout = try form.layout(of: shape)
    let scale = form.channelScale ? PaletteElements.scale(of: weights, layout) : nil
    let elements = PaletteElements(weights, form, layout, scale: scale)
    return try elements.palettized(elements.optimalTable())
  }

  private func squaredError(_ found: [Float]) -> Double {
    zip(found, weights.elements).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
  }

  @Test(arguments: forms)
  func decodesByDefinition(form: PaletteForm) throws {
    let tensor = try palettized(form)
    #expect(tensor.decoded().elements.map(\.bitPattern) == decoded(tensor).map(\.bitPattern))
    let folded = tensor.folded
    #expect(folded.decoded().elements == tensor.decoded().elements)
    #expect((folded.scale == nil) == (!form.channelScale || form.groupSize == 1))
    #expect((tensor.entries.quantized != nil) == (form.entries == .int8))
    let size = form.vector << form.bits
    for group in 0..<tensor.layout.groups where form.enforcesZero {
      let entries = tensor.entries.values[group * size..<(group + 1) * size]
      #expect(entries.contains(0))
    }
    // No entry is nearer than the one chosen, by the error of a single element as a bound: a worse table would show.
    #expect(squaredError(tensor.decoded().elements) < 0.6 * squaredError([Float](repeating: 0, count: weights.count)))
  }

  @Test func finerPalettesLoseLess() throws {
    let errors = try [
      PaletteForm(bits: 2), PaletteForm(bits: 2, channelScale: true), PaletteForm(bits: 2, groupSize: 4),
      PaletteForm(bits: 2, groupSize: 1),
    ].map { squaredError(try palettized($0).decoded().elements) }
    #expect(errors[0] > errors[1] && errors[0] > errors[2] && errors[2] > errors[3], "\(errors)")
    let vector = try palettized(PaletteForm(bits: 4, vector: 2))
    // Four bits for two weights: as many bits as two for one, and at least as good.
    #expect(vector.storedBits < weights.count * 2 + 16 * 2 * 16 + 1)
    #expect(squaredError(vector.decoded().elements) < errors[0] * 1.02)
  }

  @Test func sensitiveWeightsGetNearerEntries() throws {
    let form = PaletteForm(bits: 2)
    let elements = PaletteElements(weights, form, try form.layout(of: shape), scale: nil)
    let sensitivities = Buffer(weights.elements.map { $0 > 0.1 ? 100 : 1 })
    func error(_ tensor: PalettizedTensor) -> Double {
      let decoded = tensor.decoded().elements
      return decoded.indices.reduce(0) { sum, index in
        let e = Double(decoded[index] - weights[index])
        return sum + Double(sensitivities[index]) * e * e
      }
    }
    let plain = try elements.palettized(elements.optimalTable())
    let weighted = try elements.palettized(
      elements.optimalTable(sensitivities: sensitivities), sensitivities: sensitivities)
    #expect(error(weighted) < 0.9 * error(plain))
  }

  @Test func arrangementsComeBack() {
    let numbers = Buffer((0..<120).map(Float.init))
    let factors = Buffer((0..<6).map { Float($0 + 1) })
    let inverse = Buffer(factors.elements.map { 1 / $0 })
    for block in [1, 2, 3, 6] {
      let arrangement = ChannelArrangement(outer: 4, channels: 6, inner: 5, block: block)
      let arranged = arrangement.arranged(numbers, factors: factors)
      let restored = arrangement.restored(arranged, factors: inverse).elements
      #expect(zip(restored, numbers.elements).allSatisfy { abs($0 - $1) <= 1e-5 * abs($1) })
      #expect(arrangement.arranged(numbers).elements.sorted() == numbers.elements)
      let indices = (0..<120 / block).map { UInt8($0) }
      #expect(arrangement.arranged(arrangement.restored(indices)) == indices)
    }
    // Vectors of two neighbouring channels lie side by side.
    let pairs = ChannelArrangement(outer: 1, channels: 4, inner: 3, block: 2)
    #expect(pairs.arranged(Buffer((0..<12).map(Float.init))).elements == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
  }

  @Test func refusesChannelsThatDoNotDivide() {
    #expect(throws: ClusteringError.self) { try PaletteForm(bits: 2, groupSize: 5).layout(of: [16, 8]) }
    #expect(throws: ClusteringError.self) { try PaletteForm(bits: 2, vector: 3).layout(of: [16, 8]) }
    #expect(throws: ClusteringError.self) { try PaletteForm(bits: 2, groupSize: 4, axis: 2).layout(of: [16, 8]) }
    #expect(throws: ClusteringError.unsupportedBits(5)) { try PaletteForm(bits: 5).layout(of: [16, 8]) }
  }
}
