internal import Kernels
internal import MILRuntime
internal import StableDiffusion
package import Tensors

/// Latents to pictures, from a folder or a package.
package struct LatentDecoding: Sendable {
  private enum Engine: Sendable {
    case native(AutoencoderDecoder)
    case package(PackageModel, input: String, size: (height: Int, width: Int))
  }

  private let engine: Engine
  private let geometry: LatentGeometry
  private let precision: Precision
  /// Latent pixels of a tile's side; nil for the whole picture at once.
  private let tile: Int?

  /// - Parameter tile: decode in tiles of so many latent pixels, which overlap by a quarter.
  package init(
    _ models: ModelSet, _ geometry: LatentGeometry, precision: Precision = .single, tile: Int? = nil
  ) throws {
    self.geometry = geometry
    self.precision = precision
    self.tile = tile
    switch models.decoder {
    case .component(let component): engine = .native(try component.autoencoder().decoder)
    case .package(let path):
      let model = try PackageModel(path: path)
      let input = try model.latentInput
      let shape = try model.shape(of: input, rank: 4)
      engine = .package(model, input: input, size: (shape[2], shape[3]))
    }
  }

  /// - Parameter latents: as the UNet has them, `[1, channels, height, width]`
  /// - Returns: a picture from −1 to 1, `[1, 3, height · magnification, width · magnification]`
  /// - Throws: ``GenerationError/notANumber`` among others.
  package func callAsFunction(_ latents: Tensor) throws -> Tensor {
    let z = Tensor.combination((1 / geometry.scalingFactor, latents))
    var tile = self.tile
    if case .package(_, _, let size) = engine, z.shape[2] != size.height || z.shape[3] != size.width {
      guard size.height == size.width, min(z.shape[2], z.shape[3]) >= size.height else {
        throw GenerationError.mismatch(
          what: "VAE decoder package", expected: "latents of \(size.height)×\(size.width)",
          found: "\(z.shape[2])×\(z.shape[3])")
      }
      // A package of one size still decodes larger pictures, tile by tile.
      tile = size.height
    }
    let picture: Tensor
    if let tile, max(z.shape[2], z.shape[3]) > tile {
      picture = try LatentTiles(tile: tile, magnification: geometry.magnification).decoded(z) { try decoded($0) }
    } else {
      picture = try decoded(z)
    }
    guard picture.elements.allSatisfy(\.isFinite) else { throw GenerationError.notANumber(component: "VAE") }
    return picture
  }

  private func decoded(_ z: Tensor) throws -> Tensor {
    switch engine {
    case .native(let decoder):
      return Execution.withoutGradients {
        Execution.inHalfPrecision(precision == .half) { decoder(z.channelsLast()).channelsFirst() }
      }
    case .package(let model, let input, _):
      let picture = try model.result("image", inputs: [input: z])
      let wanted: Shape = [
        1, 3, z.shape[2] * geometry.magnification, z.shape[3] * geometry.magnification,
      ]
      guard picture.shape == wanted else {
        throw GenerationError.package(
          path: model.path, expected: "image \(wanted)", found: "\(picture.shape)")
      }
      return picture
    }
  }
}

/// Pictures to latents, from a folder or a package.
struct LatentEncoding: Sendable {
  private enum Engine: Sendable {
    case native(AutoencoderEncoder)
    case package(PackageModel, input: String)
  }

  private let engine: Engine
  private let scalingFactor: Double

  init(_ models: ModelSet, scalingFactor: Double) throws {
    self.scalingFactor = scalingFactor
    switch models.encoder {
    case .component(let component): engine = .native(try component.autoencoder().encoder)
    case .package(let path):
      let model = try PackageModel(path: path)
      // Converters of spring 2023 call it z, coreml-diffusion image.
      let input = try model.input(["x", "z", "image"])
      _ = try model.shape(of: input, rank: 4)
      engine = .package(model, input: input)
    case nil:
      throw GenerationError.missing(
        component: "VAE encoder", place: models.path,
        hint: "starting from a picture needs vae/ or VAEEncoder.mlpackage")
    }
  }

  /// A sample of the latents that a picture may stand for, scaled as the UNet takes them.
  ///
  /// - Parameters:
  ///   - picture: from −1 to 1, `[1, 3, height, width]`
  ///   - noise: draws so many standard normals
  func callAsFunction(_ picture: Tensor, noise: (Int) -> [Float]) throws -> Tensor {
    let moments: Tensor
    switch engine {
    case .native(let encoder):
      moments = Execution.withoutGradients { encoder(picture.channelsLast()).channelsFirst() }
    case .package(let model, let input): moments = try model.result("latent", inputs: [input: picture])
    }
    guard moments.shape.rank == 4, moments.shape[0] == 1, moments.shape[1] == 8 else {
      throw GenerationError.mismatch(
        what: "VAE encoder", expected: "mean and logarithm of the variance [1, 8, height, width]",
        found: "\(moments.shape)")
    }
    let (channels, height, width) = (moments.shape[1] / 2, moments.shape[2], moments.shape[3])
    let count = channels * height * width
    let elements = moments.elements
    let drawn = noise(count)
    let sample = (0..<count).map { index -> Float in
      let logarithm = min(max(elements[count + index], -30), 20)
      let deviation = Double(logarithm / 2).exponential
      let value = Double(elements[index]) + deviation * Double(drawn[index])
      return Float(value * scalingFactor)
    }
    return Tensor([1, channels, height, width], sample)
  }
}
