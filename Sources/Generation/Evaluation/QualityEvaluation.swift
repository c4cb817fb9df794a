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
    /// Of its mean, over prompts.
    package let imagePSNRInterval: ConfidenceInterval
    /// Structural similarity, 1 of equal pictures.
    package let imageSSIM: Spread
    /// To CLIP, where the reference has a safety checker, which holds its vision half.
    package let clip: EmbeddingSimilarity?
    /// Apple's mixed-bit measure after a single step, mean over the prompts, in dB.
    package let appleMixedBitPSNR: Double
    /// Of a call of the network with all its rows.
    package let secondsPerStep: Double
  }

  /// The reference's side of a run.
  private struct Trace: Sendable {
    let loop: DenoisingLoop
    let seed: UInt64
    let run: Run
    let picture: Picture
  }

  private struct Run: Sendable {
    let steps: [DenoisingLoop.Step]
    let latents: Tensor
  }

  private let settings: Settings
  private let configuration: SamplerConfiguration
  private let decoder: LatentDecoding
  private let traces: [Trace]
  private let size: (height: Int, width: Int)
  /// Latents after a single step of the reference, for Apple's measure; one a prompt.
  private let singleSteps: [Tensor]
  private let safety: SafetyChecking?
  /// Of the reference's pictures; nil where nothing can see them.
  private let embeddings: [[Float]]?
  package let referenceSecondsPerStep: Double

  /// Runs the reference.
  ///
  /// - Parameters:
  ///   - models: the reference
  ///   - progress: from 0 to 1
  package init(
    _ models: ModelSet, _ settings: Settings, method: SamplerConfiguration.Method?,
    precision: Precision, isInterrupted: @escaping @Sendable () -> Bool, progress: (Double) -> Void
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
    let questions = loops.flatMap { loop in settings.seeds.map { (loop: loop, seed: $0) } }
    let many = Self.asksTogether(size)
    let runs = try Self.all(questions.count, together: many, isInterrupted, progress) { index in
      try Self.run(
        questions[index].loop, denoiser, configuration, settings.steps, size, seed: questions[index].seed, isInterrupted
      )
    }
    referenceSecondsPerStep = runs.secondsOfFirst / Double(max(1, runs.results[0].steps.count))
    traces = try zip(questions, runs.results).map { question, run in
      Trace(loop: question.loop, seed: question.seed, run: run, picture: Picture(values: try decoder(run.latents)))
    }
    singleSteps = try loops.map { loop in
      try Self.run(loop, denoiser, configuration, 1, size, seed: settings.seeds[0]).latents
    }
    safety = try models.safetyChecker.map { try SafetyChecking($0, .diffusers) }
    embeddings = Self.embeddings(traces.map(\.picture), safety)
    (self.configuration, self.decoder) = (configuration, decoder)
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
    _ candidate: any Denoiser, isInterrupted: @escaping @Sendable () -> Bool, progress: (Double) -> Void
  ) throws -> (figures: Figures, pictures: [Picture]) {
    let all = try Self.all(
      traces.count, together: Self.asksTogether(size), isInterrupted, { progress(0.5 * $0) }
    ) { index in
      try Self.run(
        traces[index].loop, candidate, configuration, settings.steps, size, seed: traces[index].seed, isInterrupted)
    }
    let runs = all.results
    let secondsPerStep = all.secondsOfFirst / Double(max(1, runs[0].steps.count))
    let pictures = try runs.map { Picture(values: try decoder($0.latents)) }
    let outputErrors = try self.outputErrors(candidate, isInterrupted) { progress(0.5 + 0.5 * $0) }
    let trajectory = traces[0].run.steps.indices.map { step in
      Spread(
        zip(runs, traces).map {
          Similarity.psnr($0.steps[step].latents, reference: $1.run.steps[step].latents)
        })
    }
    let loops = stride(from: 0, to: traces.count, by: settings.seeds.count).map { traces[$0].loop }
    let apple = try zip(loops, singleSteps).map { loop, reference in
      let once = try Self.run(loop, candidate, configuration, 1, size, seed: settings.seeds[0])
      return Similarity.applePSNR(once.latents, reference: reference)
    }
    let imagePSNR = zip(pictures, traces).map { Similarity.psnr($0, reference: $1.picture) }
    let figures = Figures(
      outputErrors: outputErrors, trajectoryPSNR: trajectory,
      latentPSNR: Spread(zip(runs, traces).map { Similarity.psnr($0.latents, reference: $1.run.latents) }),
      imagePSNR: Spread(imagePSNR), imagePSNRInterval: ConfidenceInterval(ofMean: byPrompt(imagePSNR)),
      imageSSIM: Spread(zip(pictures, traces).map { Similarity.structure($0, $1.picture) }),
      clip: embeddings.flatMap { references in
        Self.embeddings(pictures, safety).map { EmbeddingSimilarity($0, references: references) }
      },
      appleMixedBitPSNR: apple.reduce(0, +) / Double(max(1, apple.count)),
      secondsPerStep: secondsPerStep)
    return (figures, pictures)
  }

  /// How far a candidate's pictures are from the reference's, in dB: one number a prompt, the mean over seeds.
  package func imagePSNRByPrompt(_ pictures: [Picture]) -> [Double] {
    byPrompt(zip(pictures, traces).map { Similarity.psnr($0, reference: $1.picture) })
  }

  private static func embeddings(_ pictures: [Picture], _ safety: SafetyChecking?) -> [[Float]]? {
    guard let safety else { return nil }
    let embeddings = pictures.compactMap { safety.embedding($0) }
    return embeddings.count == pictures.count ? embeddings : nil
  }

  private func byPrompt(_ values: [Double]) -> [Double] {
    (0..<values.count).cut(length: settings.seeds.count).map { PromptStatistics.mean(Array(values[$0])) }
  }

  /// The candidate's predictions for the reference's inputs, step by step.
  private func outputErrors(
    _ candidate: any Denoiser, _ isInterrupted: @escaping @Sendable () -> Bool, _ progress: (Double) -> Void
  ) throws -> [OutputError] {
    let steps = traces[0].run.steps.count
    let answers = try Self.all(
      steps * traces.count, together: Self.asksTogether(size), isInterrupted, progress
    ) { index in
      if isInterrupted() { throw GenerationError.interrupted }
      let (trace, reference) = (
        traces[index % traces.count], traces[index % traces.count].run.steps[index / traces.count]
      )
      let predictions = try trace.loop.predictions(candidate, reference.input, reference.timestep)
      return (
        error: Similarity.meanSquaredDifference(predictions, reference.predictions),
        peak: reference.predictions.elements.reduce(0) { max($0, Double(abs($1))) }
      )
    }.results
    return (0..<steps).map { step in
      let own = answers[step * traces.count..<(step + 1) * traces.count]
      let error = own.reduce(0) { $0 + $1.error } / Double(traces.count)
      let peak = own.reduce(0) { max($0, $1.peak) }
      return OutputError(
        timestep: Double(traces[0].run.steps[step].timestep), meanSquaredError: error,
        psnr: Decibels.ratio(peak * peak, toError: error))
    }
  }

  /// Whether several pictures are made at once, each on one core: small networks leave the others idle.
  private static func asksTogether(_ size: (height: Int, width: Int)) -> Bool { size.height * size.width <= 32 * 32 }

  /// The results of `body` for every index below `count`, and the seconds of the first, which had the machine for
  /// itself.
  private static func all<Result: Sendable>(
    _ count: Int, together: Bool, _ isInterrupted: () -> Bool, _ progress: (Double) -> Void,
    _ body: @Sendable (Int) throws -> Result
  ) throws -> (results: [Result], secondsOfFirst: Double) {
    let started = ContinuousClock.now
    var results = [try body(0)]
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    for part in (1..<max(1, count)).cut(length: together ? 4 * Parallel.threads : 1) {
      if isInterrupted() { throw GenerationError.interrupted }
      progress(Double(results.count) / Double(count))
      // One alone has all threads.
      let made = Parallel.map(part.count) { index in Swift.Result { try body(part.lowerBound + index) } }
      results += try made.map { try $0.get() }
    }
    progress(1)
    return (results, seconds)
  }

  private static func run(
    _ loop: DenoisingLoop, _ denoiser: any Denoiser, _ configuration: SamplerConfiguration, _ steps: Int,
    _ size: (height: Int, width: Int), seed: UInt64, _ isInterrupted: () -> Bool = { false }
  ) throws -> Run {
    let sampler = try configuration.sampler(steps: steps)
    var source = NoiseSource(.torch, seed: seed)
    let shape: Shape = [1, 4, size.height, size.width]
    let noise = Tensor(shape, source.normals(shape.count))
    var taken: [DenoisingLoop.Step] = []
    let made = try loop(
      denoiser, sampler, from: .combination((sampler.initialNoiseScale, noise)),
      noise: { Tensor(shape, source.normals(shape.count)) },
      observe: { step in
        if isInterrupted() { throw GenerationError.interrupted }
        taken.append(step)
      })
    return Run(steps: taken, latents: made.latents)
  }
}
