/// When each operation got its newest definition, which is how compiled models name operations in their statistics:
/// `Ios16.conv`, `Concat`.
struct OperationSetHistory {
  private let set: String

  /// - Parameter set: the function's, such as `CoreML6`.
  init(_ set: String) { self.set = set }

  /// Never defined anew.
  private static let first: Set = [
    "argsort", "band_part", "depth_to_space", "identity", "non_zero", "one_hot", "pad", "pixel_shuffle", "range_1d",
    "select", "shape", "space_to_depth", "split", "stack", "tile", "upsample_nearest_neighbor",
  ]

  /// Defined anew with iOS 17 and not before.
  private static let firstUntil17: Set = ["concat", "expand_dims", "slice_by_index", "squeeze", "transpose"]

  /// Defined anew with iOS 16 and with iOS 18, but not between.
  private static let of16In17: Set = [
    "constexpr_cast", "constexpr_lut_to_dense", "constexpr_sparse_to_dense", "relu", "sigmoid", "silu", "softmax",
  ]

  /// Defined anew with iOS 16 and not since.
  private static let of16: Set = [
    "constexpr_affine_dequantize", "cumsum", "fill_like", "pixel_unshuffle", "reduce_l1_norm", "reduce_l2_norm",
    "reduce_log_sum", "reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum",
    "reduce_sum_square", "resize_bilinear", "upsample_bilinear",
  ]

  func name(of operation: String) -> String {
    let words = operation.split(separator: "_", omittingEmptySubsequences: false)
    let plain =
      words.prefix(1).joined() + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    guard let prefix = prefix(of: operation) else { return plain.prefix(1).uppercased() + plain.dropFirst() }
    return "\(prefix).\(plain)"
  }

  private func prefix(of operation: String) -> String? {
    if Self.first.contains(operation) { return nil }
    switch set {
    case "CoreML5": return nil
    case "CoreML6": return Self.firstUntil17.contains(operation) ? nil : "Ios16"
    case "CoreML7": return Self.of16.union(Self.of16In17).contains(operation) ? "Ios16" : "Ios17"
    default: return Self.of16.contains(operation) ? "Ios16" : "Ios18"
    }
  }
}
