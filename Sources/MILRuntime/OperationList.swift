internal import MIL

/// Every operation that runs.
enum OperationList {
  static let all: [OperationKind] =
    [
      Activation.kinds, ArgumentOfExtreme.kinds, Arithmetic.kinds, Attention.kinds, BandPart.kinds,
      BilinearUpsampling.kinds, Cast.kinds, Comparison.kinds, Concatenation.kinds, Convolution.kinds, Crop.kinds,
      CumulativeSum.kinds, EinsteinSum.kinds, Filling.kinds, GatherAlongAxis.kinds, GatherByPosition.kinds,
      GatherSlices.kinds, LayerNorm.kinds, Linear.kinds, Logic.kinds, MatrixMultiplication.kinds, NonZero.kinds,
      OneHot.kinds, Padding.kinds, ParametricActivation.kinds, PerChannelNorm.kinds, PixelShuffle.kinds, Pooling.kinds,
      Quantization.kinds, Reduction.kinds,
      Reshape.kinds, ScatterAlongAxis.kinds, ScatterByPosition.kinds, ScatterSlices.kinds, Selection.kinds,
      ShapeOf.kinds, SliceByIndex.kinds, SliceBySize.kinds,
      SliceUpdate.kinds,
      Softmax.kinds, Sorting.kinds, Split.kinds, Stack.kinds, Tile.kinds, TransposedConvolution.kinds,
      Transposition.kinds,
      Upsampling.kinds,
    ].flatMap { $0 }.sorted { $0.name < $1.name }

  private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  static func kind(_ name: String, _ place: Place) throws(MILError) -> OperationKind {
    if let kind = byName[name] { return kind }
    let near = all.map(\.name).filter { $0.contains(name) || name.contains($0) }.first
    throw .unknownOperation(
      place, hint: near.map { "the nearest that is: \($0)" } ?? "\(all.count) others are")
  }
}
