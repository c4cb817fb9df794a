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
    let sums = channelSums { at, rows, sum, square in
      sd_channel_moments(x.pointer + at, rows, channels, sum, square)
    }
    let mean = Buffer(uninitialized: batch * groups)
    let deviation = Buffer(uninitialized: batch * groups)
    let count = Double(positions * perGroup)
    for image in 0..<batch {
      for group in 0..<groups {
        var sum = 0.0
        var square = 0.0
        for channel in group * perGroup..<(group + 1) * perGroup {
          sum += sums.pointer[image * 2 * channels + channel]
          square += sums.pointer[image * 2 * channels + channels + channel]
        }
        let m = sum / count
        mean.pointer[image * groups + group] = Float(m)
        let variance = max(0, square / count - m * m)
        deviation.pointer[image * groups + group] =
          Float(1 / (variance + Double(epsilon)).squareRoot())
      }
    }
    let (scale, shift) = affine(weight: weight, bias: bias, mean: mean, deviation: deviation)
    eachPart { image, at, rows in
      let channel = image * channels
      (silu ? sd_channel_affine_silu : sd_channel_affine)(
        x.pointer + at, scale.pointer + channel, shift.pointer + channel, y.pointer + at, rows,
        channels)
    }
    return (mean, deviation)
  }

  /// Gradients of ``forward(_:weight:bias:into:)``.
  package func gradient(
    _ x: Buffer, weight: Buffer, bias: Buffer, mean: Buffer, deviation: Buffer, dy: Buffer,
    into dx: Buffer
  ) -> (dweight: Buffer, dbias: Buffer) {
    check(x, dx)
    check(x, dy)
    var dz = dy
    if silu {
      let (scale, shift) = affine(weight: weight, bias: bias, mean: mean, deviation: deviation)
      let inner = Buffer(uninitialized: dy.count)
      eachPart { image, at, rows in
        let channel = image * channels
        sd_channel_silu_gradient(
          x.pointer + at, scale.pointer + channel, shift.pointer + channel, dy.pointer + at,
          inner.pointer + at, rows, channels)
      }
      dz = inner
    }
    let dz_ = dz
    let sums = channelSums { at, rows, sum, product in
      sd_channel_products(x.pointer + at, dz_.pointer + at, rows, channels, sum, product)
    }
    return inputGradient(
      x, weight: weight, mean: mean, deviation: deviation, dz: dz, sums: sums, into: dx)
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
        let m = Double(mean.pointer[image * groups + group])
        let r = Double(deviation.pointer[image * groups + group])
        var s1 = 0.0
        var s2 = 0.0
        for channel in group * perGroup..<(group + 1) * perGroup {
          let normalized = (sum[channels + channel] - m * sum[channel]) * r
          dweight.pointer[channel] += normalized
          dbias.pointer[channel] += sum[channel]
          s1 += Double(weight.pointer[channel]) * sum[channel]
          s2 += Double(weight.pointer[channel]) * normalized
        }
        for channel in group * perGroup..<(group + 1) * perGroup {
          let at = image * channels + channel
          a.pointer[at] = Float(r * Double(weight.pointer[channel]))
          b.pointer[at] = Float(-r * r * s2 / count)
          c.pointer[at] = Float(-r * s1 / count + m * r * r * s2 / count)
        }
      }
    }
    eachPart { image, at, rows in
      let channel = image * channels
      sd_channel_combine(
        x.pointer + at, dz.pointer + at, a.pointer + channel, b.pointer + channel,
        c.pointer + channel, dx.pointer + at, rows, channels)
    }
    return (
      Rows.total(dweight, parts: 1, stride: channels, offset: 0, count: channels),
      Rows.total(dbias, parts: 1, stride: channels, offset: 0, count: channels)
    )
  }

  /// `scale` and `shift`, `[batch, channels]`, that normalize and apply weight and bias at once.
  private func affine(
    weight: Buffer, bias: Buffer, mean: Buffer, deviation: Buffer
  ) -> (scale: Buffer, shift: Buffer) {
    let scale = Buffer(uninitialized: batch * channels)
    let shift = Buffer(uninitialized: batch * channels)
    for image in 0..<batch {
      for channel in 0..<channels {
        let group = image * groups + channel / perGroup
        let s = deviation.pointer[group] * weight.pointer[channel]
        scale.pointer[image * channels + channel] = s
        shift.pointer[image * channels + channel] =
          bias.pointer[channel] - mean.pointer[group] * s
      }
    }
    return (scale, shift)
  }

  /// Two sums for every channel of every image, `[batch, 2, channels]`.
  private func channelSums(
    _ body: @Sendable (Int, Int, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) -> Void
  ) -> Buffer64 {
    let partial = Buffer64(count: batch * parts * 2 * channels)
    Parallel.forEach(batch * parts) { index in
      let first = index % parts * partLength
      guard first < positions else { return }
      let at = (index / parts * positions + first) * channels
      let sum = partial.pointer + index * 2 * channels
      body(at, min(partLength, positions - first), sum, sum + channels)
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
