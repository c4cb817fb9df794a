internal import Pictures
internal import StableDiffusion
internal import Tensors

/// What a picture's steps start from: noise, or a picture with noise, and what inpainting keeps.
struct Preparation {
  struct Start: Sendable {
    let latents: Tensor
    /// The first position of the sampler.
    let position: Int
    /// Where further noise comes from.
    let noise: NoiseSource
    /// Inpainting UNets: mask and masked latents, `[1, 5, height, width]`.
    let extraChannels: Tensor?
    /// Other UNets with a mask: what stays as it is.
    let kept: Kept?

    /// The latents behind a step with what is not to change put back, as noisy as the next step expects it.
    func kept(_ latents: Tensor, behind position: Int, _ sampler: any Sampler) -> Tensor {
      guard let kept else { return latents }
      let next = position + 1
      let old = next < sampler.timesteps.count ? sampler.noisy(kept.clean, kept.noise, at: next) : kept.clean
      let (new, before, mask) = (latents.elements, old.elements, kept.mask)
      return Tensor(
        latents.shape,
        new.indices.map { mask[$0 % mask.count] ? new[$0] : before[$0] })
    }
  }

  struct Kept: Sendable {
    let clean: Tensor
    let noise: Tensor
    /// Whether a latent pixel is painted anew.
    let mask: [Bool]
  }

  private let models: ModelSet
  private let request: GenerationRequest
  private let geometry: LatentGeometry
  private let encoder: LatentEncoding?

  init(_ models: ModelSet, _ request: GenerationRequest, _ geometry: LatentGeometry) throws {
    self.models = models
    self.request = request
    self.geometry = geometry
    encoder =
      request.start == nil
      ? nil : try LatentEncoding(models, scalingFactor: geometry.scalingFactor)
  }

  /// Height and width of the latents.
  func size(_ denoiser: any Denoiser) throws -> (height: Int, width: Int) {
    let usual = denoiser.fixedSize ?? denoiser.usualSize
    func latent(_ name: String, _ pixels: Int?, _ usual: Int) throws(GenerationError) -> Int {
      guard let pixels else { return usual }
      guard pixels % geometry.magnification == 0 else {
        throw .option(
          name: name, expected: "a multiple of \(geometry.magnification)", found: "\(pixels)")
      }
      let size = pixels / geometry.magnification
      guard denoiser.fixedSize == nil || size == usual else {
        throw .option(
          name: name, expected: "\(usual * geometry.magnification), the UNet package's size", found: "\(pixels)")
      }
      return size
    }
    return (
      try latent("height", request.height, usual.height),
      try latent("width", request.width, usual.width)
    )
  }

  /// - Parameter image: the picture's place among those that are asked for.
  func start(
    seed: UInt64, image: Int, _ size: (height: Int, width: Int), _ denoiser: any Denoiser, _ sampler: any Sampler
  ) throws -> Start {
    let isApple = request.compatibility == .apple
    var source = NoiseSource(
      request.noiseSource ?? (isApple ? .numpy : .torch), seed: seed, asApple: isApple)
    let shape: Shape = [1, 4, size.height, size.width]
    func drawNoise() -> Tensor { Tensor(shape, source.normals(shape.count)) }
    if isApple { for _ in 0..<image { _ = drawNoise() } }
    guard let start = request.start, let encoder else {
      guard denoiser.inputChannels == 4 else {
        throw GenerationError.option(
          name: "--image", expected: "a picture and a mask for this UNet of \(denoiser.inputChannels) channels",
          found: "none")
      }
      return Start(
        latents: .combination((sampler.initialNoiseScale, drawNoise())), position: 0, noise: source,
        extraChannels: nil, kept: nil)
    }
    let (height, width) = (size.height * geometry.magnification, size.width * geometry.magnification)
    let picture = start.picture.fitted(width: width, height: height).values
    let mask = start.mask?.fitted(width: width, height: height).luminance.map { $0 >= 0.5 }
    let taken = min(Int(Double(request.steps) * start.strength), request.steps)
    let position = max(request.steps - taken, 0)
    let isWhole = start.strength == 1 && mask != nil
    // The order of draws: diffusers' is the picture's sample, the noise, the masked picture's sample; Apple draws all
    // noise first, then the picture's sample.
    let needsPicture = denoiser.inputChannels == 4 || !isWhole
    let drawn = isApple ? drawNoise() : nil
    if isApple { for _ in image + 1..<request.count { _ = drawNoise() } }
    let clean = needsPicture ? try encoded(picture, encoder, shape, &source) : nil
    let noise = drawn ?? drawNoise()
    let latents: Tensor
    if isWhole || position >= sampler.timesteps.count {
      latents = isWhole ? .combination((sampler.initialNoiseScale, noise)) : clean ?? noise
    } else {
      latents = sampler.noisy(clean ?? noise, noise, at: position)
    }
    var extra: Tensor?
    var kept: Kept?
    if let mask {
      let small = reduced(mask, width, size)
      if denoiser.inputChannels == 4 {
        kept = clean.map { Kept(clean: $0, noise: noise, mask: small) }
      } else {
        let hidden = try encoded(masked(picture, mask), encoder, shape, &source)
        let plane = Tensor([1, 1, size.height, size.width], small.map { $0 ? 1 : 0 })
        extra = DenoisingLoop.joined(plane, hidden)
      }
    } else if denoiser.inputChannels != 4 {
      throw GenerationError.option(name: "--mask", expected: "a mask for this inpainting UNet", found: "none")
    }
    return Start(latents: latents, position: position, noise: source, extraChannels: extra, kept: kept)
  }

  /// A sample of a picture's latents, of the UNet's size.
  private func encoded(
    _ picture: Tensor, _ encoder: LatentEncoding, _ shape: Shape, _ source: inout NoiseSource
  ) throws -> Tensor {
    let latents = try encoder(picture) { source.normals($0) }
    guard latents.shape == shape else {
      throw GenerationError.mismatch(
        what: "VAE encoder and UNet", expected: "latents \(shape)", found: "\(latents.shape)")
    }
    return latents
  }

  /// The mask at the latents' size, by nearest pixel.
  private func reduced(_ mask: [Bool], _ width: Int, _ size: (height: Int, width: Int)) -> [Bool] {
    (0..<size.height).flatMap { row in
      (0..<size.width).map { column in
        mask[row * geometry.magnification * width + column * geometry.magnification]
      }
    }
  }

  /// The picture, grey where something new goes.
  private func masked(_ picture: Tensor, _ mask: [Bool]) -> Tensor {
    let elements = picture.elements
    return Tensor(picture.shape, elements.indices.map { mask[$0 % mask.count] ? 0 : elements[$0] })
  }
}
