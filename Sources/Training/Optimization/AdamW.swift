package import Kernels

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019), in torch's form:
///
///     p *= 1 − rate · decay
///     m = β₁ m + (1 − β₁) g,  v = β₂ v + (1 − β₂) g²
///     p −= rate · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + epsilon)
package struct AdamW: Sendable, Equatable {
  package var beta1: Float
  package var beta2: Float
  package var epsilon: Float
  package var weightDecay: Float

  package init(beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
  }

  /// First and second moments of one parameter, both zero at the start.
  package struct Moments: Sendable {
    package let mean: Buffer
    package let variance: Buffer

    package init(mean: Buffer, variance: Buffer) {
      self.mean = mean
      self.variance = variance
    }

    package init(count: Int) {
      self.init(mean: Buffer(count: count), variance: Buffer(count: count))
    }
  }

  /// Steps one parameter and its moments in place.
  ///
  /// - Parameters:
  ///   - step: counts from 1.
  ///   - gradientScale: multiplies the gradient: the clipping coefficient.
  package func update(
    _ parameter: Buffer, _ moments: Moments, gradient: Buffer, learningRate: Float, step: Int,
    gradientScale: Float = 1
  ) {
    FusedOptimizer.adamW(
      parameter, mean: moments.mean, variance: moments.variance, gradient: gradient,
      learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      weightDecay: weightDecay, step: step, gradientScale: gradientScale)
  }
}
