internal import Checkpoints
internal import Files
package import Kernels
package import Recipes

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

  /// First and second moments of one parameter.
  package struct Moments: Sendable {
    /// Of the parameter.
    package let count: Int
    package let values: FusedOptimizer.Moments

    package init(count: Int, _ values: FusedOptimizer.Moments) {
      self.count = count
      self.values = values
    }

    /// The same in a file; as they are without one.
    func kept(in scratch: ScratchFile?) throws(FileError) -> Moments {
      guard let scratch else { return self }
      return Moments(
        count: count, try values.mapped { (buffer) throws(FileError) in try scratch.keep(buffer) })
    }

    /// Zeros, as at the start.
    package init(count: Int, _ precision: TrainingRecipe.Moments = .single) {
      self.count = count
      switch precision {
      case .single: values = .single(mean: Buffer(count: count), variance: Buffer(count: count))
      case .brainFloat:
        values = .brainFloat(mean: PackedBytes(zeros: 2 * count), variance: PackedBytes(zeros: 2 * count))
      case .bytes:
        let blocks = FusedOptimizer.Moments.blocks(count)
        values = .bytes(
          mean: PackedBytes(zeros: count), variance: PackedBytes(zeros: count), meanScales: Buffer(count: blocks),
          varianceScales: Buffer(count: blocks))
      }
    }
  }

  /// Steps one parameter and its moments in place.
  ///
  /// - Parameter step: counts from 1.
  package func update(_ parameter: Buffer, _ moments: Moments, gradient: Buffer, learningRate: Float, step: Int) {
    FusedOptimizer.adamW(
      parameter, moments.values, gradient: gradient, options(learningRate: learningRate, step: step))
  }

  /// What the kernel needs to know.
  ///
  /// - Parameters:
  ///   - step: counts from 1.
  ///   - gradientScale: multiplies the gradient: the clipping coefficient.
  ///   - seed: of the random bits that round moments in few bits; another one for every parameter.
  func options(
    learningRate: Float, step: Int, gradientScale: Float = 1, seed: UInt32 = 0
  ) -> FusedOptimizer.Options {
    FusedOptimizer.Options(
      learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay, step: step,
      gradientScale: gradientScale, seed: seed)
  }
}
