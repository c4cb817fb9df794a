internal import Kernels
internal import Layers
package import StableDiffusion
package import Tensors

/// A UNet, native or a package, asked about rows of latents at one timestep.
package protocol Denoiser: Sendable {
  /// 4; 9 of inpainting UNets, which also take a mask and the masked picture's latents.
  var inputChannels: Int { get }
  /// Latent height and width of fixed packages; of folders nil, any that divide.
  var fixedSize: (height: Int, width: Int)? { get }
  /// Height and width of latents it was trained on, in latent pixels.
  var usualSize: (height: Int, width: Int) { get }
  /// Tokens of a prompt; nil if any.
  var fixedTokens: Int? { get }
  /// Numbers of picture size that SDXL's take beside so many features of pooled text; nil of others.
  func sizeConditions(pooled: Int) -> Int?

  /// - Parameter sample: `[rows, inputChannels, height, width]`
  /// - Returns: `[rows, 4, height, width]`
  func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, _ extras: DenoiserExtras
  ) throws -> Tensor
}

/// What some UNets take beside sample, timestep and text.
package struct DenoiserExtras: Sendable {
  /// SDXL: the picture's sizes, `[rows, sizeConditions]`.
  package var sizes: Tensor?
  /// What ControlNets add, in order, `[rows, channels, height, width]` each; empty without.
  package var residuals: [Tensor]

  package init(sizes: Tensor? = nil, residuals: [Tensor] = []) {
    self.sizes = sizes
    self.residuals = residuals
  }
}

/// The numbers of a model's arithmetic, in the training engine.
package enum Precision: String, Sendable, CaseIterable {
  case single = "fp32"
  /// Weights and every result rounded to half precision; sums stay in 32 bits.
  case half = "fp16"
}

/// A native UNet, computed by the training engine.
package struct NativeUNetDenoiser: Denoiser {
  private let unet: UNet
  private let precision: Precision

  package init(_ component: ModelComponent, precision: Precision = .single) throws {
    let loaded = try component.unet()
    let configuration = loaded.model.configuration
    guard [4, 9].contains(configuration.inputChannels), configuration.outputChannels == 4 else {
      throw GenerationError.mismatch(
        what: component.origin, expected: "4 channels of latents, or 9 in and 4 out of an inpainting UNet",
        found: "\(configuration.inputChannels) in and \(configuration.outputChannels) out")
    }
    unet =
      precision == .single
      ? loaded.model : try UNet(loaded.store.roundedToHalf(), loaded.model.configuration)
    self.precision = precision
  }

  package var inputChannels: Int { unet.configuration.inputChannels }
  package var fixedSize: (height: Int, width: Int)? { nil }
  package var usualSize: (height: Int, width: Int) {
    (unet.configuration.sampleHeight, unet.configuration.sampleWidth)
  }
  package var fixedTokens: Int? { nil }
  package func sizeConditions(pooled: Int) -> Int? {
    unet.configuration.timeIdentifierCount(pooled: pooled)
  }

  package func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, _ extras: DenoiserExtras
  ) throws -> Tensor {
    let features = unet.configuration.contextFeatures[0]
    guard conditioning.states.shape[2] == features else {
      throw GenerationError.mismatch(
        what: "text encoder and UNet", expected: "\(features) features of a token",
        found: "\(conditioning.states.shape[2])")
    }
    let skips = unet.configuration.skipChannels
    let wanted = extras.residuals.isEmpty ? [] : skips + skips.suffix(1)
    guard extras.residuals.map({ $0.shape[1] }) == wanted else {
      throw GenerationError.mismatch(
        what: "ControlNet and UNet", expected: "residuals of \(wanted) channels",
        found: "\(extras.residuals.map { $0.shape[1] })")
    }
    let addition = try unet.configuration.addition(conditioning, extras.sizes)
    return Execution.withoutGradients {
      Execution.inHalfPrecision(precision == .half) {
        unet(
          sample.channelsLast(), timestep: Tensor(repeating: timestep, shape: [sample.shape[0]]),
          context: conditioning.states, addition: addition,
          residuals: extras.residuals.map { $0.channelsLast() }
        ).channelsFirst()
      }
    }
  }
}

extension UNetConfiguration {
  /// SDXL's pooled text and sizes; nil of other UNets.
  func addition(
    _ conditioning: Conditioning, _ sizes: Tensor?
  ) throws(GenerationError) -> UNet.Addition? {
    guard let textTime else { return nil }
    let wanted = textTime.projectionInputs - (sizes?.shape[1] ?? 0) * textTime.timeFeatures
    guard let pooled = conditioning.pooled, let sizes, pooled.shape[1] == wanted else {
      throw .mismatch(
        what: "text encoders and UNet", expected: "\(wanted) pooled features",
        found: "\(conditioning.pooled?.shape[1] ?? 0)")
    }
    return UNet.Addition(textEmbeddings: pooled, timeIdentifiers: sizes)
  }
}

extension ParameterStore {
  /// The same weights rounded to half precision.
  func roundedToHalf() -> ParameterStore {
    var weights: NamedArrays = [:]
    for name in names {
      guard let shape = shape(of: name), let buffer = buffer(name) else { continue }
      weights[name] = (shape, HalfPrecision.rounded(buffer))
    }
    return ParameterStore(weights, origin: origin)
  }
}

extension ModelSet {
  /// Loads the UNet.
  package func denoiser(_ precision: Precision = .single) throws -> any Denoiser {
    try unet.denoiser(precision)
  }
}

extension ModelPlace {
  /// Loads the UNet that is there.
  func denoiser(_ precision: Precision) throws -> any Denoiser {
    switch self {
    case .component(let component): try NativeUNetDenoiser(component, precision: precision)
    case .package(let path): try PackageDenoiser(path)
    }
  }
}
