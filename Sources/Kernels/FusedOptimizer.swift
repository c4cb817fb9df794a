internal import CKernels
internal import Foundation

/// Optimizer steps that read and write every array once.
package enum FusedOptimizer {
  /// What a step of AdamW needs to know.
  package struct Options: Sendable {
    package var learningRate, beta1, beta2, epsilon, weightDecay: Float
    /// Counts from 1; bias corrections are computed in double precision.
    package var step: Int
    /// Multiplies the gradient: the clipping coefficient.
    package var gradientScale: Float
    /// Of the random bits that round moments; another one for every array.
    package var seed: UInt32

    package init(
      learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, step: Int,
      gradientScale: Float = 1, seed: UInt32 = 0
    ) {
      self.learningRate = learningRate
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      self.weightDecay = weightDecay
      self.step = step
      self.gradientScale = gradientScale
      self.seed = seed
    }

    fileprivate var kernel: sd_adamw {
      sd_adamw(
        learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weight_decay: weightDecay,
        correction1: Float(1 - pow(Double(beta1), Double(step))),
        correction2: Float(1 - pow(Double(beta2), Double(step))), gradient_scale: gradientScale,
        // Steps far apart in the mixing's input.
        seed: (seed &* 0x85EB_CA6B) ^ (UInt32(truncatingIfNeeded: step) &* 0x9E37_79B9))
    }
  }

  /// First and second moments of one array, in one of three precisions.
  package enum Moments: Sendable {
    case single(mean: Buffer, variance: Buffer)
    /// bfloat16.
    case brainFloat(mean: PackedBytes, variance: PackedBytes)
    /// A byte a moment and a scale for every ``blockLength`` of them.
    case bytes(mean: PackedBytes, variance: PackedBytes, meanScales: Buffer, varianceScales: Buffer)

    package static let blockLength = Int(SD_MOMENT_BLOCK)

    package static func blocks(_ count: Int) -> Int { (count + blockLength - 1) / blockLength }

    /// The same moments in the buffers that `body` gives for those they are in.
    package func mapped<Failure: Error>(_ body: (Buffer) throws(Failure) -> Buffer) throws(Failure) -> Moments {
      func packed(_ bytes: PackedBytes) throws(Failure) -> PackedBytes {
        PackedBytes(words: try body(bytes.words), count: bytes.count)
      }
      return switch self {
      case .single(let mean, let variance): .single(mean: try body(mean), variance: try body(variance))
      case .brainFloat(let mean, let variance):
        .brainFloat(mean: try packed(mean), variance: try packed(variance))
      case .bytes(let mean, let variance, let meanScales, let varianceScales):
        .bytes(
          mean: try packed(mean), variance: try packed(variance), meanScales: try body(meanScales),
          varianceScales: try body(varianceScales))
      }
    }

    /// See ``Buffer/letGo()``.
    package func letGo() {
      _ = mapped { buffer in
        buffer.letGo()
        return buffer
      }
    }

    fileprivate func fits(_ count: Int) -> Bool {
      switch self {
      case .single(let mean, let variance): mean.count == count && variance.count == count
      case .brainFloat(let mean, let variance): mean.count == 2 * count && variance.count == 2 * count
      case .bytes(let mean, let variance, let meanScales, let varianceScales):
        mean.count == count && variance.count == count && meanScales.count == Self.blocks(count)
          && varianceScales.count == Self.blocks(count)
      }
    }
  }

  /// What a step of a part did.
  package struct Report: Sendable {
    /// Of the gradient's elements.
    package var sumOfSquares = 0.0
    /// What making them took, where they were not there yet.
    package var gradientTime = Duration.zero
  }

  /// Elements of a part; parts are stepped independently.
  package static let partLength = 1 << 16
  /// Elements of a gradient that are made at a time, to be read in the first cache.
  private static let chunk = 1 << 12

  /// One AdamW step of a part in place.
  ///
  /// - Parameter part: begins at a multiple of ``Moments/blockLength``, where moments have blocks.
  package static func adamW(
    _ parameter: Buffer, _ moments: Moments, gradient: ParameterGradient, _ options: Options, part: Range<Int>
  ) -> Report {
    precondition(
      moments.fits(parameter.count) && gradient.count == parameter.count && options.step > 0
        && part.lowerBound >= 0 && part.upperBound <= parameter.count, "AdamW: \(part) of \(parameter.count) elements")
    let kernel = options.kernel
    var report = Report()
    switch gradient {
    case .elements(let buffer):
      let g = UnsafePointer(buffer.pointer + part.lowerBound)
      report.sumOfSquares = sd_sum_of_squares(g, part.count)
      step(parameter, moments, g, kernel, part)
    case .keyed(let affine):
      let elements = Buffer(uninitialized: chunk)
      for chunk in part.cut(length: chunk) {
        let started = ContinuousClock.now
        affine.write(chunk, into: elements.pointer)
        report.gradientTime += ContinuousClock.now - started
        report.sumOfSquares += sd_sum_of_squares(elements.pointer, chunk.count)
        step(parameter, moments, elements.pointer, kernel, chunk)
      }
    }
    return report
  }

  /// One AdamW step of a whole array in place.
  package static func adamW(_ parameter: Buffer, _ moments: Moments, gradient: Buffer, _ options: Options) {
    let parts = (0..<parameter.count).cut(length: partLength)
    Parallel.forEach(parts.count) { index in
      _ = adamW(parameter, moments, gradient: .elements(gradient), options, part: parts[index])
    }
  }

  /// - Parameter g: the gradient of the part.
  private static func step(
    _ parameter: Buffer, _ moments: Moments, _ g: UnsafePointer<Float>, _ kernel: sd_adamw, _ part: Range<Int>
  ) {
    let at = part.lowerBound
    let p = parameter.pointer + at
    switch moments {
    case .single(let mean, let variance):
      sd_adamw_step(p, mean.pointer + at, variance.pointer + at, g, kernel, part.count)
    case .brainFloat(let mean, let variance):
      mean.withElements(of: UInt16.self) { mean in
        variance.withElements(of: UInt16.self) { variance in
          sd_adamw_step_bfloat(p, mean + at, variance + at, g, kernel, at, part.count)
        }
      }
    case .bytes(let mean, let variance, let meanScales, let varianceScales):
      let block = at / Moments.blockLength
      mean.withElements(of: UInt8.self) { mean in
        variance.withElements(of: UInt8.self) { variance in
          sd_adamw_step_bytes(
            p, mean + at, variance + at, meanScales.pointer + block, varianceScales.pointer + block, g, kernel, at,
            part.count)
        }
      }
    }
  }
}
