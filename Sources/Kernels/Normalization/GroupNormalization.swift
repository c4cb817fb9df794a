internal import CKernels

/// Group normalization of channels-last images, with SiLU behind it where a block wants that.
///
///     y = act((x − mean) / √(variance + epsilon) ⊙ weight + bias)
///
/// Mean and variance are over all positions and the channels of one group. `x` is `[batch, positions, channels]`.
package struct GroupNormalization: Sendable {
  package let batch: Int
  package let positions: Int
  package let channels: Int
  package let groups: Int
  package let epsilon: Float
  package let silu: Bool

  package init(
    batch: Int, positions: Int, channels: Int, groups: Int, epsilon: Float, silu: Bool
  ) {
    precondition(
      groups > 0 && channels % groups == 0, "group norm: \(channels) channels, \(groups) groups")
    self.batch = batch
    self.positions = positions
    self.channels = channels
    self.groups = groups
    self.epsilon = epsilon
    self.silu = silu
  }

  private var parts: Int { Rows.sumParts(positions) }
  private var partLength: Int { (positions + parts - 1) / parts }
  private var perGroup: Int { channels / groups }

  /// - Returns: mean and reciprocal standard deviation, each `[batch, groups]`.
  package func forward(
    _ x: Buffer, weight: Buffer, bias: Buffer, into y: Buffer
  ) -> (mean: Buffer, deviation: Buffer) {
    check(x, y)
    precondition(weight.count == channels && bias.count == channels, "group norm: weight or bias")
    // Moments about the image's first pixel: about zero, a large mean would leave the variance few digits.
    let sums = channelSums { image, at, rows, sum, square in
      sd_channel_moments(
        x.pointer + at, x.pointer + image * positions * channels, rows, channels, sum, square)
    }
    let mean = Buffer(uninitialized: batch * groups)
    let deviation = Buffer(uninitialized: batch * groups)
    for index in 0..<batch * groups {
      let (m, variance) = moments(x, sums, image: index / groups, group: index % groups)
      mean.pointer[index] = Float(m)
      deviation.pointer[index] = Float(1 / (variance + Double(epsilon)).squareRoot())
    }
    let affine = affine(weight: weight, mean: mean, deviation: deviation)
    eachPart { image, at, rows in
      let channel = image * channels
      (silu ? sd_channel_affine_silu : sd_channel_affine)(
        x.pointer + at, affine.mean.pointer + channel, affine.scale.pointer + channel,
        bias.pointer, y.pointer + at, rows, channels)
    }
    return (mean, deviation)
  }

  /// Mean and variance of one group from its channels' sums about the image's first pixel.
  private func moments(
    _ x: Buffer, _ sums: Buffer64, image: Int, group: Int
  ) -> (mean: Double, variance: Double) {
    let origin = x.pointer + image * positions * channels
    let sum = sums.pointer + image * 2 * channels
    let members = group * perGroup..<(group + 1) * perGroup
    let count = Double(positions)
    let mean =
      members.reduce(0.0) { $0 + Double(origin[$1]) + sum[$1] / count } / Double(perGroup)
    let squares = members.reduce(0.0) { total, channel in
      let e = mean - Double(origin[channel])
      return total + sum[channels + channel] - 2 * e * sum[channel] + count * e * e
    }
    return (mean, max(0, squares / (count * Double(perGroup))))
  }

  /// Gradients of ``forward(_:weight:bias:into:)``.
  package func gradient(
    _ x: Buffer, weight: Buffer, bias: Buffer, mean: Buffer, deviation: Buffer, dy: Buffer,
    into dx: Buffer
  ) -> (dweight: Buffer, dbias: Buffer) {
    check(x, dx)
    check(x, dy)
    let affine = affine(weight: weight, mean: mean, deviation: deviation)
    let dz = silu ? Buffer(uninitialized: dy.count) : dy
    if silu {
      eachPart { image, at, rows in
        let channel = image * channels
        sd_channel_silu_gradient(
          x.pointer + at, affine.mean.pointer + channel, affine.scale.pointer + channel,
          bias.pointer, dy.pointer + at, dz.pointer + at, rows, channels)
      }
    }
    let sums = channelSums { image, at, rows, sum, product in
      sd_channel_products(
        x.pointer + at, affine.mean.pointer + image * channels, dz.pointer + at, rows, channels,
        sum, product)
    }
    return inputGradient(
      x, weight: weight, mean: affine.mean, deviation: deviation, dz: dz, sums: sums, into: dx)
  }

  /// `dx = r w dz − r s₁/n − x̂ r s₂/n` with the group sums `s₁ = Σ w dz` and `s₂ = Σ w dz x̂`.
  private func inputGradient(
    _ x: Buffer, weight: Buffer, mean: Buffer, deviation: Buffer, dz: Buffer, sums: Buffer64,
    into dx: Buffer
  ) -> (dweight: Buffer, dbias: Buffer) {
    let dweight = Buffer64(count: channels)
    let dbias = Buffer64(count: channels)
    let a = Buffer(uninitialized: batch * channels)
    let b = Buffer(uninitialized: batch * channels)
    let c = Buffer(uninitialized: batch * channels)
    let count = Double(positions * perGroup)
    for image in 0..<batch {
      let sum = sums.pointer + image * 2 * channels
      for group in 0..<groups {
        let r = Double(deviation.pointer[image * groups + group])
        var s1 = 0.0
        var s2 = 0.0
        for channel in group * perGroup..<(group + 1) * perGroup {
          let normalized = sum[channels + channel] * r
          dweight.pointer[channel] += normalized
          dbias.pointer[channel] += sum[channel]
          s1 += Double(weight.pointer[channel]) * sum[channel]
          s2 += Double(weight.pointer[channel]) * normalized
        }
        for channel in group * perGroup..<(group + 1) * perGroup {
          let at = image * channels + channel
          a.pointer[at] = Float(r * Double(weight.pointer[channel]))
          b.pointer[at] = Float(-r * r * s2 / count)
          c.pointer[at] = Float(-r * s1 / count)
        }
      }
    }
    eachPart { image, at, rows in
      let channel = image * channels
      sd_channel_combine(
        x.pointer + at, mean.pointer + channel, dz.pointer + at, a.pointer + channel,
        b.pointer + channel, c.pointer + channel, dx.pointer + at, rows, channels)
    }
    return (
      Rows.total(dweight, parts: 1, stride: channels, offset: 0, count: channels),
      Rows.total(dbias, parts: 1, stride: channels, offset: 0, count: channels)
    )
  }

  /// Mean and scale of every channel of every image, `[batch, channels]`: those of its group, times the weight.
  private func affine(
    weight: Buffer, mean: Buffer, deviation: Buffer
  ) -> (mean: Buffer, scale: Buffer) {
    let means = Buffer(uninitialized: batch * channels)
    let scales = Buffer(uninitialized: batch * channels)
    for image in 0..<batch {
      for channel in 0..<channels {
        let group = image * groups + channel / perGroup
        means.pointer[image * channels + channel] = mean.pointer[group]
        scales.pointer[image * channels + channel] =
          deviation.pointer[group] * weight.pointer[channel]
      }
    }
    return (means, scales)
  }

  /// Two sums for every channel of every image, `[batch, 2, channels]`.
  private func channelSums(
    _ body:
      @Sendable (Int, Int, Int, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) ->
      Void
  ) -> Buffer64 {
    let partial = Buffer64(count: batch * parts * 2 * channels)
    Parallel.forEach(batch * parts) { index in
      let first = index % parts * partLength
      guard first < positions else { return }
      let at = (index / parts * positions + first) * channels
      let sum = partial.pointer + index * 2 * channels
      body(index / parts, at, min(partLength, positions - first), sum, sum + channels)
    }
    let sums = Buffer64(count: batch * 2 * channels)
    for index in 0..<batch * parts {
      let from = partial.pointer + index * 2 * channels
      let to = sums.pointer + index / parts * 2 * channels
      for i in 0..<2 * channels { to[i] += from[i] }
    }
    return sums
  }

  /// Calls the body with image, first element and rows of every part.
  private func eachPart(_ body: @Sendable (Int, Int, Int) -> Void) {
    Parallel.forEach(batch * parts) { index in
      let first = index % parts * partLength
      guard first < positions else { return }
      let at = (index / parts * positions + first) * channels
      body(index / parts, at, min(partLength, positions - first))
    }
  }

  private func check(_ x: Buffer, _ y: Buffer) {
    precondition(
      x.count == batch * positions * channels && y.count == x.count,
      "group norm [\(batch), \(positions), \(channels)]: \(x.count) and \(y.count) elements")
  }
}
