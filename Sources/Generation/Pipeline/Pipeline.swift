internal import Kernels
package import Pictures
package import StableDiffusion
internal import StrictJSON
package import Tensors

/// From a prompt to pictures: text encoders, UNet loop, VAE, each loaded when its turn comes.
///
/// All prompts are encoded before the UNet is loaded, and all latents are made before the VAE is.
package struct Pipeline: Sendable {
  /// A finished picture.
  package struct Result: Sendable {
    package let picture: Picture
    package let seed: UInt64
    package let latents: Tensor
    /// Whether the model's safety checker had it replaced by black.
    package let isFlagged: Bool
  }

  package struct Progress: Sendable {
    /// From 1.
    package let image: Int
    package let images: Int
    package let step: Int
    package let steps: Int
    package let secondsPerStep: Double
    package let secondsLeft: Double
  }

  /// What happens on the way.
  package enum Event: Sendable {
    case stage(String)
    case warning(String)
    case progress(Progress)
    /// What the picture would be if it ended here.
    case preview(Picture, image: Int, step: Int)
    case result(Result, image: Int)
  }

  package let models: ModelSet
  package let request: GenerationRequest
  let geometry: LatentGeometry
  /// Whether anything tells what the UNet predicts.
  private let saysPrediction: Bool
  package let configuration: SamplerConfiguration

  package init(_ models: ModelSet, _ request: GenerationRequest) throws {
    try request.validate()
    let models = try models.taking(height: request.height, width: request.width)
    self.models = models
    self.request = request
    geometry = try LatentGeometry(models)
    let known = try models.knownPrediction()
    saysPrediction = known != nil
    let usual = JSONConfiguration.stableDiffusionSchedule(className: "PNDMScheduler")
    var configuration = try SamplerConfiguration(
      (models.scheduler ?? usual).replacing(known.map { ["prediction_type": .string($0)] } ?? [:]),
      method: request.method)
    if request.compatibility == .apple { configuration.followApple() }
    if let spacing = request.spacing { configuration.spacing = spacing }
    if let karras = request.usesKarras {
      guard !karras || [.dpmSolver, .euler].contains(configuration.method) else {
        throw GenerationError.option(
          name: "--karras", expected: "dpm-solver or euler as --scheduler", found: configuration.method.rawValue)
      }
      configuration.usesKarras = karras
    }
    // Everything that will be needed is looked for before long work begins.
    if request.start != nil, models.encoder == nil {
      throw GenerationError.missing(
        component: "VAE encoder", place: models.path, hint: "starting from a picture needs vae/ or VAEEncoder.mlpackage"
      )
    }
    if request.overflow == .chunks, case .package(let path) = models.unet {
      throw GenerationError.option(
        name: "--long-prompt", expected: "cut: \(path) is a package, which takes prompts of one length", found: "chunks"
      )
    }
    guard request.eta == 0 || configuration.method == .ddim else {
      throw GenerationError.option(
        name: "--eta", expected: "ddim as --scheduler", found: configuration.method.rawValue)
    }
    configuration.eta = request.eta
    self.configuration = configuration
  }

  /// - Parameters:
  ///   - previewEvery: steps from one preview to the next; 0 for none.
  ///   - observe: is shown every step of every picture
  package func callAsFunction(
    previewEvery: Int = 0, isInterrupted: () -> Bool = { false },
    observe: (DenoisingLoop.Step) throws -> Void = { _ in },
    notify: (Event) throws -> Void = { _ in }
  ) throws -> [Result] {
    let sampler = try configuration.sampler(steps: request.steps)
    for line in models.warnings { try notify(.warning(line)) }
    if !saysPrediction {
      try notify(
        .warning(
          "\(models.unet.path): does not say what it predicts; taken as epsilon, --prediction-type v_prediction says otherwise"
        ))
    }
    try notify(.stage("encoding the prompt"))
    let conditioning = try self.conditioning(notify)
    let refinerConditioning = request.refiner == nil ? nil : try self.conditioning(lastOnly: true) { _ in }
    release()
    let shown = previewEvery > 0 && !request.reducesMemory ? try decoder() : nil
    var clock = StepClock(images: request.count)
    func watch(_ step: DenoisingLoop.Step, _ run: Run) throws {
      if isInterrupted() { throw GenerationError.interrupted }
      try observe(step)
      let steps = sampler.timesteps.count - run.start.position
      let taken = step.position - run.start.position + 1
      try notify(.progress(clock.tick(image: run.index, step: taken, of: steps)))
      if previewEvery > 0, taken % previewEvery == 0, taken < steps {
        let values = try (shown ?? decoder())(step.denoised)
        try notify(.preview(Picture(values: values), image: run.index, step: taken))
      }
    }
    try notify(.stage("loading the UNet"))
    try checkLaterParts()
    var runs = try baseRuns(conditioning, sampler, begin: { clock.restart() }, watch)
    release()
    if let refiner = request.refiner, let refinerConditioning {
      try notify(.stage("loading the refiner"))
      runs = try refined(runs, refiner, refinerConditioning, watch)
      release()
    }
    let isApple = request.compatibility == .apple
    return try decoded(runs.map { isApple ? $0.denoised : $0.latents }, shown) { event in
      if isInterrupted() { throw GenerationError.interrupted }
      try notify(event)
    }
  }

  /// Builds what is needed after the steps and lets go of it: a fault there must not cost the steps.
  private func checkLaterParts() throws {
    _ = try decoder()
    _ = try safetyChecking()
    if let refiner = request.refiner { _ = try refiner.unet.denoiser(request.precision) }
    release()
  }

  private func safetyChecking() throws -> SafetyChecking? {
    guard let place = models.safetyChecker, !request.skipsSafetyChecker else { return nil }
    return try SafetyChecking(place, request.compatibility)
  }

  private func decoded(
    _ latents: [Tensor], _ loaded: LatentDecoding?, _ notify: (Event) throws -> Void
  ) throws -> [Result] {
    try notify(.stage("decoding"))
    let decoder = try loaded ?? self.decoder()
    let checker = try safetyChecking()
    return try latents.enumerated().map { index, latents in
      let picture = Picture(values: try decoder(latents))
      let isFlagged = try checker?.isFlagged(picture) ?? false
      if isFlagged {
        try notify(.warning("the model's safety checker blackened picture \(index + 1)"))
      }
      let result = Result(
        picture: isFlagged ? picture.blackened : picture, seed: seed(index), latents: latents, isFlagged: isFlagged)
      try notify(.result(result, image: index))
      return result
    }
  }

  /// Of a picture's noise; Apple draws that of all pictures one after the other, from one seed.
  func seed(_ index: Int) -> UInt64 {
    request.compatibility == .apple ? request.seed : request.seed &+ UInt64(index)
  }

  private func release() {
    if request.reducesMemory { BufferPool.releaseIdle() }
  }

  private func decoder() throws -> LatentDecoding {
    try LatentDecoding(
      models, geometry, precision: request.precision, tile: request.reducesMemory ? Self.reducedTile : nil)
  }

  /// Latent pixels of a tile's side when memory counts.
  private static let reducedTile = 32
}

/// Measures steps.
private struct StepClock {
  let images: Int
  private var start = ContinuousClock.now
  private var done = 0

  init(images: Int) { self.images = images }

  /// Counts from now on: what came before was loading.
  mutating func restart() { start = .now }

  mutating func tick(image: Int, step: Int, of steps: Int) -> Pipeline.Progress {
    done += 1
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let perStep = elapsed / Double(done)
    return Pipeline.Progress(
      image: image + 1, images: images, step: step, steps: steps,
      secondsPerStep: perStep, secondsLeft: perStep * Double(images * steps - done))
  }
}
