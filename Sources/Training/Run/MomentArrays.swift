internal import Checkpoints
internal import Files
internal import Kernels
internal import Recipes
internal import Tensors

/// The optimizer's moments in a checkpoint, bit for bit as they are kept:
///
/// - 32-bit floats under `moments/mean` and `moments/variance`;
/// - bfloat16 as two bytes each, and single bytes, under the same names;
/// - the scales of single bytes under `moments/mean_scales` and `moments/variance_scales`.
extension StateArrays {
  /// - Parameters:
  ///   - precision: of the moments of `parameters`; those of anything else are 32-bit floats.
  func moments(
    _ precision: TrainingRecipe.Moments, of parameters: NamedArrays
  ) throws(FileError) -> [String: AdamW.Moments] {
    var moments: [String: AdamW.Moments] = [:]
    for name in names(in: "moments/mean") {
      let (mean, variance) = ("moments/mean/\(name)", "moments/variance/\(name)")
      guard let count = parameters[name]?.shape.count, precision != .single else {
        let values = try floats(mean)
        moments[name] = AdamW.Moments(
          count: values.count, .single(mean: values, variance: try floats(variance, count: values.count)))
        continue
      }
      let length = precision == .brainFloat ? 2 * count : count
      let packed = (try packed(mean, count: length), try packed(variance, count: length))
      guard precision == .bytes else {
        moments[name] = AdamW.Moments(count: count, .brainFloat(mean: packed.0, variance: packed.1))
        continue
      }
      let blocks = FusedOptimizer.Moments.blocks(count)
      moments[name] = AdamW.Moments(
        count: count,
        .bytes(
          mean: packed.0, variance: packed.1,
          meanScales: try floats("moments/mean_scales/\(name)", count: blocks),
          varianceScales: try floats("moments/variance_scales/\(name)", count: blocks)))
    }
    return moments
  }
}

extension [String: CheckpointArray] {
  /// Moments have the shape of the parameter of their name, or are a list.
  mutating func add(
    _ moments: [String: AdamW.Moments], of parameters: NamedArrays
  ) {
    for (name, moments) in moments {
      let shape = parameters[name]?.shape.axes ?? [moments.count]
      switch moments.values {
      case .single(let mean, let variance):
        self["moments/mean/\(name)"] = CheckpointArray(mean, shape: shape)
        self["moments/variance/\(name)"] = CheckpointArray(variance, shape: shape)
      case .brainFloat(let mean, let variance):
        self["moments/mean/\(name)"] = CheckpointArray(shape: shape + [2], .packed(mean))
        self["moments/variance/\(name)"] = CheckpointArray(shape: shape + [2], .packed(variance))
      case .bytes(let mean, let variance, let meanScales, let varianceScales):
        self["moments/mean/\(name)"] = CheckpointArray(shape: shape, .packed(mean))
        self["moments/variance/\(name)"] = CheckpointArray(shape: shape, .packed(variance))
        self["moments/mean_scales/\(name)"] = CheckpointArray(meanScales, shape: [meanScales.count])
        self["moments/variance_scales/\(name)"] = CheckpointArray(varianceScales, shape: [varianceScales.count])
      }
    }
  }
}
