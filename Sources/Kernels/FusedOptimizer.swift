internal import CKernels
internal import Foundation

/// Optimizer steps that read and write every array once.
package enum FusedOptimizer {
  /// One AdamW step in place; bias corrections are computed in double precision.
  package static func adamW(
    _ parameter: Buffer, mean: Buffer, variance: Buffer, gradient: Buffer, learningRate: Float,
    beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, step: Int,
    gradientScale: Float
  ) {
    precondition(
      mean.count == parameter.count && variance.count == parameter.count
        && gradient.count == parameter.count && step > 0, "AdamW: \(parameter.count) elements")
    let options = sd_adamw(
      learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      weight_decay: weightDecay, correction1: Float(1 - pow(Double(beta1), Double(step))),
      correction2: Float(1 - pow(Double(beta2), Double(step))), gradient_scale: gradientScale)
    Parallel.ranges(parameter.count, grain: Elementwise.grain, multiple: 16) { part in
      let at = part.lowerBound
      sd_adamw_step(
        parameter.pointer + at, mean.pointer + at, variance.pointer + at, gradient.pointer + at,
        options, part.count)
    }
  }
}
