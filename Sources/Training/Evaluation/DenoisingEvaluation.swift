internal import Kernels
package import StableDiffusion
package import Tensors

/// How well a network predicts the noise of the validation pictures, timestep by timestep.
///
/// The noise of timestep index `k` is `torch.randn` of seed `1000 + k`, so that torch and diffusers can be asked the
/// same questions (`metrics.json` of the bundled model).
package struct DenoisingEvaluation: Sendable {
  /// One timestep's questions.
  struct Case: Sendable {
    let timestep: Int
    /// `[pictures, height, width, channels]`
    let noisy: Tensor
    let target: Tensor
  }

  /// A network: noisy latents `[batch, height, width, channels]`, timestep, text to predicted noise.
  package typealias Denoiser = @Sendable (Tensor, Float, Conditioning) throws -> Tensor

  let cases: [Case]
  /// A row a picture.
  let text: Conditioning

  /// - Parameters:
  ///   - dataset: of one size.
  ///   - limit: the first so many pictures; 0 for all.
  package init(
    _ dataset: LatentDataset, _ states: TextStates, _ schedule: NoiseSchedule, timesteps: [Int], limit: Int = 0
  ) throws {
    let clean = try dataset.all(limit: limit)
    text = states[dataset.prompts(limit: limit)]
    cases = timesteps.enumerated().map { index, timestep in
      var generator = TorchGenerator(seed: UInt64(1000 + index))
      let noise = Tensor(clean.shape, generator.normals(clean.shape.count))
      let steps = [Int](repeating: timestep, count: clean.shape[0])
      return Case(
        timestep: timestep, noisy: schedule.noisy(clean, noise, at: steps).channelsLast(),
        target: schedule.target(clean, noise, at: steps).channelsLast())
    }
  }

  /// Pictures that every timestep asks about.
  package var pictures: Int { text.states.shape[0] }

  /// Answers of a network, one tensor a timestep.
  package struct Predictions: Sendable {
    let byTimestep: [Tensor]
  }

  /// Pictures in a call that may have any number: 32, or as many as have 16,384 latent pixels, four at 64×64.
  private var usualBatch: Int {
    let pixels = cases.first.map { $0.noisy.shape[1] * $0.noisy.shape[2] } ?? 1
    return min(32, max(1, (1 << 14) / pixels))
  }

  /// Asks a network everything, `batch` pictures at a time.
  ///
  /// - Parameter concurrent: whether several calls may run at once, each on one core.
  package func predictions(
    batch: Int? = nil, concurrent: Bool = false, _ denoiser: Denoiser
  ) throws -> Predictions {
    let batch = batch ?? usualBatch
    let pictures = text.states.shape[0]
    let starts = Array(stride(from: 0, to: pictures, by: batch))
    let jobs = cases.indices.flatMap { index in starts.map { (index, $0) } }
    @Sendable func answer(_ job: Int) -> Result<Tensor, any Error> {
      let (index, start) = jobs[job]
      let rows = Array(start..<min(pictures, start + batch))
      let question = cases[index]
      return Result {
        try Execution.withoutGradients {
          try denoiser(question.noisy.rows(rows), Float(question.timestep), text.rows(rows))
        }
      }
    }
    var answers: [Result<Tensor, any Error>] = []
    let step = concurrent ? max(1, 8 * Parallel.threads) : 1
    for first in stride(from: 0, to: jobs.count, by: step) {
      let count = min(step, jobs.count - first)
      answers += concurrent ? Parallel.map(count) { answer(first + $0) } : [answer(first)]
    }
    let tensors = try answers.map { try $0.get() }
    return Predictions(
      byTimestep: cases.indices.map { index in
        .stacked(Array(tensors[index * starts.count..<(index + 1) * starts.count]))
      })
  }

  /// Errors of a network.
  package struct Quality: Sendable, Equatable, Codable {
    /// Mean squared error of the predicted noise, averaged over timesteps.
    package let epsilonMSE: Double
    package let epsilonMSEByTimestep: [Double]
    /// Of the output against the reference's, in dB; the peak is the reference's largest magnitude. Nil for the
    /// reference itself.
    package let psnr: Double?
  }

  package func quality(_ predictions: Predictions, reference: Predictions?) -> Quality {
    let errors = zip(predictions.byTimestep, cases).map { prediction, question in
      Elementwise.sumOfSquaredDifferences(prediction.buffer, question.target.buffer)
        / Double(prediction.shape.count)
    }
    return Quality(
      epsilonMSE: errors.reduce(0, +) / Double(errors.count), epsilonMSEByTimestep: errors,
      psnr: reference.map { Self.psnr(predictions, reference: $0) })
  }

  /// `10 log₁₀(max |reference|² / mean squared difference)` over all answers together, in dB.
  private static func psnr(_ predictions: Predictions, reference: Predictions) -> Double {
    var peak: Float = 0
    var difference = 0.0
    var count = 0
    for (a, b) in zip(predictions.byTimestep, reference.byTimestep) {
      peak = max(peak, b.elements.reduce(0) { max($0, abs($1)) })
      difference += Elementwise.sumOfSquaredDifferences(a.buffer, b.buffer)
      count += b.shape.count
    }
    return Decibels.ratio(Double(peak) * Double(peak), toError: difference / Double(count))
  }
}
