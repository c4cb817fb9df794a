internal import Kernels
package import StableDiffusion
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
  }

  package let models: ModelSet
  package let request: GenerationRequest
  private let geometry: LatentGeometry
  package let configuration: SamplerConfiguration

  package init(_ models: ModelSet, _ request: GenerationRequest) throws {
    try request.validate()
    self.models = models
    self.request = request
    geometry = try LatentGeometry(models)
    var configuration =
      try models.scheduler.map {
        try SamplerConfiguration(folder: $0, method: request.method)
      } ?? SamplerConfiguration(stableDiffusion: request.method ?? .pndm)
    if let spacing = request.spacing { configuration.spacing = spacing }
    if let karras = request.usesKarras { configuration.usesKarras = karras }
    configuration.eta = request.eta
    if request.compatibility == .apple { configuration.endsAtSmallestLevel = true }
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
    try notify(.stage("encoding the prompt"))
    let conditioning = try self.conditioning(notify)
    release()
    var preparation = try Preparation(models, request, geometry)
    if request.start != nil { try notify(.stage("encoding the picture")) }
    var starts: [Preparation.Start] = []
    try notify(.stage("loading the UNet"))
    let denoiser = try models.denoiser(request.precision)
    let size = try preparation.size(denoiser)
    for index in 0..<request.count {
      starts.append(try preparation.start(seed: seed(index), size, denoiser, sampler))
    }
    preparation.release()
    var loop = DenoisingLoop(
      conditioning, sizes: sizes(denoiser, size, rows: conditioning.states.shape[0]),
      control: try control(size), guidance: request.guidance, asksSeparately: request.reducesMemory)
    let decoder = previewEvery > 0 && !request.reducesMemory ? try self.decoder() : nil
    var clock = StepClock(images: request.count, steps: sampler.timesteps.count - (starts.first?.position ?? 0))
    var latents: [Tensor] = []
    for index in starts.indices {
      let start = starts[index]
      loop.extraChannels = start.extraChannels
      var source = start.noise
      let made = try loop(
        denoiser, sampler, from: start.latents, at: start.position,
        noise: { Tensor(start.latents.shape, source.normals(start.latents.shape.count)) },
        keep: { latents, position in start.kept(latents, behind: position, sampler) }
      ) { step in
        if isInterrupted() { throw GenerationError.interrupted }
        try observe(step)
        try notify(.progress(clock.tick(image: index)))
        let taken = step.position - start.position + 1
        if previewEvery > 0, taken % previewEvery == 0, step.position + 1 < sampler.timesteps.count {
          let shown = try decoder ?? self.decoder()
          try notify(.preview(Picture(values: try shown(step.denoised)), image: index, step: taken))
        }
      }
      latents.append(request.compatibility == .apple ? made.denoised : made.latents)
    }
    return try decoded(latents, decoder, notify)
  }

  /// The ControlNet and its picture at the latents' size.
  private func control(_ size: (height: Int, width: Int)) throws -> Control? {
    guard let control = request.control else { return nil }
    let picture = control.picture.fitted(
      width: size.width * geometry.magnification, height: size.height * geometry.magnification)
    return Control(try ControlEncoding(control.place), picture: picture, scale: control.scale)
  }

  private func decoded(
    _ latents: [Tensor], _ loaded: LatentDecoding?, _ notify: (Event) throws -> Void
  ) throws -> [Result] {
    release()
    try notify(.stage("decoding"))
    let decoder = try loaded ?? self.decoder()
    let checker = try models.safetyChecker.flatMap { place in
      request.skipsSafetyChecker ? nil : try SafetyChecking(place, request.compatibility)
    }
    return try latents.enumerated().map { index, latents in
      let values = try decoder(latents)
      guard values.elements.allSatisfy(\.isFinite) else {
        throw GenerationError.notANumber(component: "VAE", step: request.steps)
      }
      let picture = Picture(values: values)
      let isFlagged = try checker?.isFlagged(picture) ?? false
      if isFlagged {
        try notify(.warning("the model's safety checker blackened picture \(index + 1)"))
      }
      return Result(
        picture: isFlagged ? picture.blackened : picture, seed: seed(index), latents: latents,
        isFlagged: isFlagged)
    }
  }

  private func seed(_ index: Int) -> UInt64 { request.seed &+ UInt64(index) }

  private func release() {
    if request.reducesMemory { BufferPool.releaseIdle() }
  }

  private func decoder() throws -> LatentDecoding {
    try LatentDecoding(
      models, geometry, precision: request.precision, tile: request.reducesMemory ? Self.reducedTile : nil)
  }

  /// Latent pixels of a tile's side when memory counts.
  private static let reducedTile = 32

  /// Negative prompt and prompt, or the prompt alone without guidance.
  private func conditioning(_ notify: (Event) throws -> Void) throws -> Conditioning {
    let encoder = try PromptEncoder(
      models, dialect: request.compatibility == .apple ? .apple : .clip, overflow: request.overflow)
    func read(_ text: String) throws -> WeightedPrompt {
      request.readsWeights ? try WeightedPrompt(weighted: text) : WeightedPrompt(plain: text)
    }
    let prompt = try read(request.prompt)
    let excess = encoder.excess(prompt)
    if excess > 0, request.overflow == .cut {
      try notify(.warning("the prompt is \(excess) tokens too long, its end is left out; see --long-prompt"))
    }
    guard request.guidance > 1 else { return try encoder([prompt]) }
    if request.negativePrompt == nil, models.zeroesEmptyPrompt {
      let positive = try encoder([prompt])
      return .stacked([positive.zeroed, positive])
    }
    return try encoder([read(request.negativePrompt ?? ""), prompt])
  }

  /// SDXL's picture size, crop and target size; the refiner's size, crop and aesthetic score.
  func sizes(_ denoiser: any Denoiser, _ size: (height: Int, width: Int), rows: Int) -> Tensor? {
    guard let count = denoiser.sizeConditions else { return nil }
    let (height, width) = (
      Float(size.height * geometry.magnification), Float(size.width * geometry.magnification)
    )
    let row = [height, width, 0, 0] + (count == 6 ? [height, width] : [6])
    var numbers = (0..<rows).flatMap { _ in row }
    if count == 5, rows == 2 { numbers[4] = 2.5 }
    return Tensor([rows, count], numbers)
  }
}

/// Measures steps.
private struct StepClock {
  let images: Int
  let steps: Int
  private let start = ContinuousClock.now
  private var done = 0

  init(images: Int, steps: Int) {
    self.images = images
    self.steps = steps
  }

  mutating func tick(image: Int) -> Pipeline.Progress {
    done += 1
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let perStep = elapsed / Double(done)
    return Pipeline.Progress(
      image: image + 1, images: images, step: done - image * steps, steps: steps,
      secondsPerStep: perStep, secondsLeft: perStep * Double(images * steps - done))
  }
}
