internal import Kernels
package import Pictures
package import StableDiffusion
internal import Tensors

/// Runs a model and others against each other on the same prompts, seeds and first noise.
package struct QualityEvaluation: Sendable {
  package struct Settings: Codable, Sendable {
    package var prompts: [String]
    package var seeds: [UInt64]
    package var steps: Int
    package var guidance: Double
    package var scheduler: String

    package init(prompts: [String], seeds: [UInt64], steps: Int, guidance: Double, scheduler: String) {
      self.prompts = prompts
      self.seeds = seeds
      self.steps = steps
      self.guidance = guidance
      self.scheduler = scheduler
    }
  }

  /// Error of the network's predictions for the reference's own inputs at one timestep.
  package struct OutputError: Codable, Sendable {
    package let timestep: Double
    /// Mean over prompts, seeds and both halves of the guidance.
    package let meanSquaredError: Double
    /// In dB, peak of the reference's predictions at this timestep.
    package let psnr: Double
  }

  /// Figures of one candidate.
  package struct Figures: Codable, Sendable {
    package let outputErrors: [OutputError]
    /// Of the latents behind every step of the candidate's own run, in dB.
    package let trajectoryPSNR: [Spread]
    /// Of the last latents, in dB, peak of the reference.
    package let latentPSNR: Spread
    /// Of the pictures' bytes, in dB, peak 255.
    package let imagePSNR: Spread
    /// Structural similarity, 1 of equal pictures.
    package let imageSSIM: Spread
    /// Apple's mixed-bit measure after a single step, mean over the prompts, in dB.
    package let appleMixedBitPSNR: Double
    /// Of a call of the network with all its rows.
    package let secondsPerStep: Double
  }

  /// The reference's side of a run.
  private struct Trace: Sendable {
    let loop: DenoisingLoop
    let seed: UInt64
    let steps: [DenoisingLoop.Step]
    let latents: Tensor
    let picture: Picture
  }

  private let settings: Settings
  private let configuration: SamplerConfiguration
  private let decoder: LatentDecoding
  private let traces: [Trace]
  private let size: (height: Int, width: Int)
  /// Latents after a single step of the reference, for Apple's measure; one a prompt.
  private let singleSteps: [Tensor]
  package let referenceSecondsPerStep: Double

  /// Runs the reference.
  ///
  /// - Parameters:
  ///   - models: the reference
  ///   - progress: from 0 to 1
  package init(
    _ models: ModelSet, _ settings: Settings, method: SamplerConfiguration.Method?,
    precision: Precision, isInterrupted: () -> Bool, progress: (Double) -> Void
  ) throws {
    var request = GenerationRequest(prompt: "")
    (request.steps, request.guidance, request.precision) = (settings.steps, settings.guidance, precision)
    request.method = method
    let pipeline = try Pipeline(models, request)
    let configuration = pipeline.configuration
    var resolved = settings
    resolved.scheduler = configuration.method.rawValue
    let decoder = try LatentDecoding(models, LatentGeometry(models), precision: precision)
    let denoiser = try models.denoiser(precision)
    let size = denoiser.fixedSize ?? denoiser.usualSize
    let encoder = try PromptEncoder(models)
    let loops = try settings.prompts.map { prompt in
      request.prompt = prompt
      let conditioning = try Pipeline(models, request).conditioning(with: encoder) { _ in }
      let sizes = pipeline.sizes(denoiser, size, conditioning)
      return DenoisingLoop(conditioning, sizes: sizes, guidance: settings.guidance)
    }
    let clock = ContinuousClock.now
    var traces: [Trace] = []
    for loop in loops {
      for seed in settings.seeds {
        let run = try Self.run(loop, denoiser, configuration, settings.steps, size, seed: seed) { _ in
          if isInterrupted() { throw GenerationError.interrupted }
        }
        traces.append(
          Trace(
            loop: loop, seed: seed, steps: run.steps, latents: run.latents,
            picture: Picture(values: try decoder(run.latents))))
        progress(Double(traces.count) / Double(loops.count * settings.seeds.count))
      }
    }
    let calls = traces.reduce(0) { $0 + $1.steps.count }
    referenceSecondsPerStep = (ContinuousClock.now - clock) / .seconds(1) / Double(max(1, calls))
    singleSteps = try loops.map { loop in
      try Self.run(loop, denoiser, configuration, 1, size, seed: settings.seeds[0]).latents
    }
    (self.configuration, self.decoder, self.traces) = (configuration, decoder, traces)
    (self.settings, self.size) = (resolved, size)
  }

  /// Refuses candidates that do not fit the reference, before either runs.
  package static func check(
    _ models: ModelSet, _ candidates: [(name: String, denoiser: any Denoiser)]
  ) throws {
    // Its shapes are asked for; rounding the weights would cost their memory.
    let reference = try models.denoiser(.single)
    let size = reference.fixedSize ?? reference.usualSize
    let tokens = try PromptEncoder(models)([WeightedPrompt(plain: "")]).states.shape[1]
    for (name, candidate) in [(models.path, reference)] + candidates {
      try check(candidate, name, size, tokens: tokens)
    }
  }

  private static func check(
    _ denoiser: any Denoiser, _ name: String, _ size: (height: Int, width: Int), tokens: Int
  ) throws(GenerationError) {
    guard denoiser.inputChannels == 4 else {
      throw .mismatch(
        what: name, expected: "4 channels of latents: evaluation has no mask for an inpainting UNet",
        found: "\(denoiser.inputChannels)")
    }
    if let own = denoiser.fixedSize, own != size {
      throw .mismatch(
        what: name, expected: "latents of \(size.height)×\(size.width), the reference's",
        found: "\(own.height)×\(own.width)")
    }
    if let own = denoiser.fixedTokens, own != tokens {
      throw .mismatch(what: name, expected: "\(tokens) tokens, the text encoder's", found: "\(own)")
    }
  }

  /// The settings with the scheduler that was used.
  package var resolvedSettings: Settings { settings }

  /// The reference's pictures, prompts outside, seeds inside.
  package var pictures: [Picture] { traces.map(\.picture) }

  /// Runs a candidate.
  package func figures(
    _ candidate: any Denoiser, isInterrupted: () -> Bool, progress: (Double) -> Void
  ) throws -> (figures: Figures, pictures: [Picture]) {
    var runs: [(steps: [DenoisingLoop.Step], latents: Tensor)] = []
    let clock = ContinuousClock.now
    for trace in traces {
      runs.append(
        try Self.run(trace.loop, candidate, configuration, settings.steps, size, seed: trace.seed) { _ in
          if isInterrupted() { throw GenerationError.interrupted }
        })
      progress(0.5 * Double(runs.count) / Double(traces.count))
    }
    let calls = runs.reduce(0) { $0 + $1.steps.count }
    let secondsPerStep = (ContinuousClock.now - clock) / .seconds(1) / Double(max(1, calls))
    let pictures = try runs.map { Picture(values: try decoder($0.latents)) }
    let outputErrors = try self.outputErrors(candidate, isInterrupted) { progress(0.5 + 0.5 * $0) }
    let trajectory = traces[0].steps.indices.map { step in
      Spread(
        zip(runs, traces).map {
          Similarity.psnr($0.steps[step].latents, reference: $1.steps[step].latents)
        })
    }
    let loops = stride(from: 0, to: traces.count, by: settings.seeds.count).map { traces[$0].loop }
    let apple = try zip(loops, singleSteps).map { loop, reference in
      let once = try Self.run(loop, candidate, configuration, 1, size, seed: settings.seeds[0])
      return Similarity.applePSNR(once.latents, reference: reference)
    }
    let figures = Figures(
      outputErrors: outputErrors, trajectoryPSNR: trajectory,
      latentPSNR: Spread(zip(runs, traces).map { Similarity.psnr($0.latents, reference: $1.latents) }),
      imagePSNR: Spread(zip(pictures, traces).map { Similarity.psnr($0, reference: $1.picture) }),
      imageSSIM: Spread(zip(pictures, traces).map { Similarity.structure($0, $1.picture) }),
      appleMixedBitPSNR: apple.reduce(0, +) / Double(max(1, apple.count)),
      secondsPerStep: secondsPerStep)
    return (figures, pictures)
  }

  /// The candidate's predictions for the reference's inputs, step by step.
  private func outputErrors(
    _ candidate: any Denoiser, _ isInterrupted: () -> Bool, _ progress: (Double) -> Void
  ) throws -> [OutputError] {
    try traces[0].steps.indices.map { step in
      if isInterrupted() { throw GenerationError.interrupted }
      var error = 0.0
      var peak = 0.0
      for trace in traces {
        let reference = trace.steps[step]
        let predictions = try trace.loop.predictions(candidate, reference.input, reference.timestep)
        error += Similarity.meanSquaredDifference(predictions, reference.predictions)
        peak = reference.predictions.elements.reduce(peak) { max($0, Double(abs($1))) }
      }
      error /= Double(traces.count)
      progress(Double(step + 1) / Double(traces[0].steps.count))
      return OutputError(
        timestep: Double(traces[0].steps[step].timestep), meanSquaredError: error,
        psnr: Decibels.ratio(peak * peak, toError: error))
    }
  }

  private static func run(
    _ loop: DenoisingLoop, _ denoiser: any Denoiser, _ configuration: SamplerConfiguration, _ steps: Int,
    _ size: (height: Int, width: Int), seed: UInt64, observe: (DenoisingLoop.Step) throws -> Void = { _ in }
  ) throws -> (steps: [DenoisingLoop.Step], latents: Tensor) {
    let sampler = try configuration.sampler(steps: steps)
    var source = NoiseSource(.torch, seed: seed)
    let shape: Shape = [1, 4, size.height, size.width]
    let noise = Tensor(shape, source.normals(shape.count))
    var taken: [DenoisingLoop.Step] = []
    let made = try loop(
      denoiser, sampler, from: .combination((sampler.initialNoiseScale, noise)),
      noise: { Tensor(shape, source.normals(shape.count)) },
      observe: { step in
        try observe(step)
        taken.append(step)
      })
    return (taken, made.latents)
  }
}
