internal import CKernels

/// Group normalization of images that lie plane by plane, with SiLU behind it where a program wants that:
///
///     y = act((x − mean) / √(variance + epsilon) · scale + shift)
///
/// Mean and variance are over the planes of one group; scale and shift are each channel's.
package struct PlanarGroupNorm: Sendable {
  private let batch, channels, pixels, groups: Int
  private let epsilon: Float
  private let silu: Bool

  package init(batch: Int, channels: Int, pixels: Int, groups: Int, epsilon: Float, silu: Bool) {
    precondition(groups > 0 && channels % groups == 0, "group norm: \(channels) channels, \(groups) groups")
    self.batch = batch
    self.channels = channels
    self.pixels = pixels
    self.groups = groups
    self.epsilon = epsilon
    self.silu = silu
  }

  /// - Parameters:
  ///   - x: `[batch, channels, pixels]`
  ///   - scale, shift: `[channels]`
  ///   - y: as large as `x`, and may be `x` itself.
  package func callAsFunction(_ x: Buffer, scale: Buffer, shift: Buffer, into y: Buffer) {
    precondition(
      x.count == batch * channels * pixels && y.count == x.count && scale.count == channels && shift.count == channels,
      "group norm of \(x.count) elements, \(batch)×\(channels)×\(pixels)")
    let width = channels / groups
    let size = width * pixels
    Parallel.ranges(batch * groups, grain: max(1, Elementwise.grain / max(1, size))) { part in
      for index in part {
        let start = index * size
        let mean = sd_sum(x.pointer + start, size) / Double(max(1, size))
        let variance = sd_sum_of_squares_about(x.pointer + start, Float(mean), size) / Double(max(1, size))
        let inverse = 1 / (variance + Double(epsilon)).squareRoot()
        for channel in 0..<width {
          let at = start + channel * pixels
          let number = index % groups * width + channel
          let factor = Float(inverse * Double(scale.pointer[number]))
          (silu ? sd_shift_scale_silu : sd_shift_scale)(
            x.pointer + at, Float(mean), factor, shift.pointer[number], y.pointer + at, pixels)
        }
      }
    }
  }
}
