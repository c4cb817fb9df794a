internal import Pictures
internal import StableDiffusion
internal import Tensors

extension Pipeline {
  /// A picture on its way.
  struct Run: Sendable {
    let index: Int
    let start: Preparation.Start
    var latents: Tensor
    var denoised: Tensor
    var noise: NoiseSource
  }

  /// Negative prompt and prompt, or the prompt alone without guidance.
  ///
  /// - Parameters:
  ///   - known: an encoder of these models and of a request like this one; a new one if nil.
  ///   - lastOnly: as SDXL's refiner is conditioned, which never takes zeros for no prompt.
  func conditioning(
    with known: PromptEncoder? = nil, lastOnly: Bool = false, _ notify: (Event) throws -> Void
  ) throws -> Conditioning {
    let encoder =
      try known
      ?? PromptEncoder(
        models, dialect: request.compatibility == .apple ? .apple : .clip, overflow: request.overflow,
        lastOnly: lastOnly)
    func read(_ text: String) -> WeightedPrompt {
      request.readsWeights ? WeightedPrompt(weighted: text) : WeightedPrompt(plain: text)
    }
    let prompt = read(request.prompt)
    for part in prompt.plainlyRead {
      try notify(
        .warning(
          "'\(part)' is read as plain words\(part.hasPrefix("<lora") ? "; --lora FILE:STRENGTH puts an adapter on" : "")"
        ))
    }
    let excess = encoder.excess(prompt)
    if excess > 0, request.overflow == .cut {
      try notify(.warning("the prompt is \(excess) tokens too long, its end is left out; see --long-prompt"))
    }
    guard request.guidance > 1, !models.embedsGuidance else { return try encoder([prompt]) }
    // Apple's pipeline encodes the empty prompt.
    if request.negativePrompt == nil, models.zeroesEmptyPrompt, !lastOnly, request.compatibility == .diffusers {
      let positive = try encoder([prompt])
      return .stacked([positive.zeroed, positive])
    }
    return try encoder([read(request.negativePrompt ?? ""), prompt])
  }

  /// Noise or pictures, and all steps of the model's UNet.
  ///
  /// - Parameter begin: is called when all is loaded, before the first step.
  func baseRuns(
    _ conditioning: Conditioning, _ sampler: any Sampler, begin: () -> Void,
    _ watch: (DenoisingLoop.Step, Run) throws -> Void
  ) throws -> [Run] {
    let preparation = try Preparation(models, request, geometry)
    let denoiser = try models.denoiser(request.precision)
    let size = try preparation.size(denoiser)
    let runs = try (0..<request.count).map { index in
      let start = try preparation.start(seed: seed(index), image: index, size, denoiser, sampler)
      return Run(
        index: index, start: start, latents: start.latents, denoised: start.latents, noise: start.noise)
    }
    let loop = DenoisingLoop(
      conditioning, sizes: sizes(denoiser, size, conditioning), control: try control(size),
      guidance: request.guidance, asksSeparately: request.reducesMemory)
    begin()
    return try runs.map { run in
      try stepped(run, loop, denoiser, sampler, at: run.start.position, until: handover, watch)
    }
  }

  /// The steps that are left to SDXL's refiner.
  func refined(
    _ runs: [Run], _ refiner: GenerationRequest.Refiner, _ conditioning: Conditioning,
    _ watch: (DenoisingLoop.Step, Run) throws -> Void
  ) throws -> [Run] {
    let denoiser = try refiner.unet.denoiser(request.precision)
    let sampler = try configuration.sampler(steps: request.steps)
    return try runs.map { run in
      let size = (height: run.latents.shape[2], width: run.latents.shape[3])
      let loop = DenoisingLoop(
        conditioning, sizes: sizes(denoiser, size, conditioning), guidance: request.guidance,
        asksSeparately: request.reducesMemory)
      let first = max(run.start.position, handover ?? 0)
      return try stepped(run, loop, denoiser, sampler, at: first, until: nil, watch)
    }
  }

  /// The position from which on the refiner is asked: the first timestep below its share of the noise.
  private var handover: Int? {
    guard let refiner = request.refiner, let sampler = try? configuration.sampler(steps: request.steps)
    else { return nil }
    let total = Double(configuration.schedule.timesteps)
    let cutoff = (total - refiner.start * total).rounded()
    return sampler.timesteps.firstIndex { Double($0) < cutoff } ?? sampler.timesteps.count
  }

  private func stepped(
    _ run: Run, _ loop: DenoisingLoop, _ denoiser: any Denoiser, _ sampler: any Sampler, at first: Int,
    until end: Int?, _ watch: (DenoisingLoop.Step, Run) throws -> Void
  ) throws -> Run {
    var (run, loop) = (run, loop)
    let start = run.start
    loop.extraChannels = start.extraChannels
    var noise = run.noise
    let shape = run.latents.shape
    let made = try loop(
      denoiser, sampler, from: run.latents, at: first, until: end,
      noise: { Tensor(shape, noise.normals(shape.count)) },
      keep: { latents, position in start.kept(latents, behind: position, sampler) },
      observe: { try watch($0, run) })
    (run.latents, run.denoised, run.noise) = (made.latents, made.denoised, noise)
    return run
  }

  /// The ControlNet and its picture at the latents' size.
  private func control(_ size: (height: Int, width: Int)) throws -> Control? {
    guard let control = request.control else { return nil }
    let picture = control.picture.fitted(
      width: size.width * geometry.magnification, height: size.height * geometry.magnification)
    let network = try ControlEncoding(control.place, magnification: geometry.magnification)
    return Control(network, picture: picture, scale: control.scale)
  }

  /// SDXL's picture size, crop and target size; the refiner's size, crop and aesthetic score.
  func sizes(
    _ denoiser: any Denoiser, _ size: (height: Int, width: Int), _ conditioning: Conditioning
  ) -> Tensor? {
    guard let count = denoiser.sizeConditions(pooled: conditioning.pooled?.shape[1] ?? 0), count > 4 else {
      return nil
    }
    let rows = conditioning.states.shape[0]
    let sizes = UNetConfiguration.sizes(
      height: size.height * geometry.magnification, width: size.width * geometry.magnification, rows: rows,
      count: count)
    guard count == 5, rows == 2 else { return sizes }
    // What is not wanted gets a low aesthetic score.
    var numbers = sizes.elements
    numbers[4] = 2.5
    return Tensor(sizes.shape, numbers)
  }
}
