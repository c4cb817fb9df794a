internal import Kernels
internal import Layers
internal import MILRuntime
internal import StableDiffusion
package import Tensors

/// A UNet, from a folder or a package, asked about rows of latents at one timestep.
package protocol Denoiser: Sendable {
  /// 4; 9 of inpainting UNets, which also take a mask and the masked picture's latents.
  var inputChannels: Int { get }
  /// Latent height and width of fixed packages; of folders nil, any that divide.
  var fixedSize: (height: Int, width: Int)? { get }
  /// Height and width of latents it was trained on, in latent pixels.
  var usualSize: (height: Int, width: Int) { get }
  /// Tokens of a prompt; nil if any.
  var fixedTokens: Int? { get }
  /// Numbers of picture size that SDXL's are told; nil of others.
  var sizeConditions: Int? { get }

  /// - Parameter sample: `[rows, inputChannels, height, width]`
  /// - Returns: `[rows, 4, height, width]`
  func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, _ extras: DenoiserExtras
  ) throws -> Tensor
}

/// What some UNets are told beside sample, timestep and text.
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

/// A UNet folder, computed by the training engine.
package struct FolderDenoiser: Denoiser {
  private let unet: UNet
  private let precision: Precision

  package init(_ folder: String, precision: Precision = .single) throws {
    let loaded = try DiffusersFolder.unet(folder)
    unet =
      precision == .single
      ? loaded.model : try UNet(loaded.store.roundedToHalf(), loaded.model.configuration)
    self.precision = precision
  }

  package var inputChannels: Int { unet.configuration.inputChannels }
  package var fixedSize: (height: Int, width: Int)? { nil }
  package var usualSize: (height: Int, width: Int) {
    (unet.configuration.sampleSize, unet.configuration.sampleSize)
  }
  package var fixedTokens: Int? { nil }
  package var sizeConditions: Int? {
    guard let textTime = unet.configuration.textTime else { return nil }
    // Six numbers of the base model, five of the refiner; the rest of the inputs is pooled text.
    return [6, 5].first { textTime.projectionInputs - $0 * textTime.timeFeatures > 0 }
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

/// A UNet package, computed by the runner from packed weights.
package struct PackageDenoiser: Denoiser {
  private let model: PackageModel
  /// `[batch, channels, height, width]`
  private let sample: [Int]
  /// `[batch, features, 1, tokens]`
  private let context: [Int]
  package let sizeConditions: Int?

  package init(_ path: String) throws {
    model = try PackageModel(path: path)
    sample = try model.shape(of: "sample", rank: 4)
    context = try model.shape(of: "encoder_hidden_states", rank: 4)
    guard sample[0] > 0, context[0] == sample[0], context[2] == 1 else {
      throw GenerationError.package(
        path: path, expected: "encoder_hidden_states [\(sample[0]), features, 1, tokens]",
        found: "\(context)")
    }
    let isLarge = model.inputs.contains { $0.name == "time_ids" }
    sizeConditions = isLarge ? try model.shape(of: "time_ids", rank: 2)[1] : nil
  }

  /// Samples in a call.
  package var batch: Int { sample[0] }
  package var inputChannels: Int { sample[1] }
  package var fixedSize: (height: Int, width: Int)? { (sample[2], sample[3]) }
  package var usualSize: (height: Int, width: Int) { (sample[2], sample[3]) }
  package var fixedTokens: Int? { context[3] }
  /// Bytes of values that are alive at once while it runs, weights apart.
  package var peakMemoryBytes: Int { model.peakMemoryBytes }

  package func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, _ extras: DenoiserExtras
  ) throws -> Tensor {
    let text = Execution.withoutGradients { conditioning.states.permuted(0, 2, 1) }
    guard text.shape[1] == context[1], text.shape[2] == context[3] else {
      throw GenerationError.mismatch(
        what: model.path, expected: "text states of \(context[3]) tokens and \(context[1]) features",
        found: "\(text.shape[2]) and \(text.shape[1])")
    }
    let count = sample.shape[0]
    let parts = try stride(from: 0, to: count, by: batch).map { start in
      // A shorter batch is filled up with its last row.
      let rows = (start..<start + batch).map { min($0, count - 1) }
      var inputs: [String: Tensor] = [
        "sample": sample.rows(rows), "timestep": Tensor(repeating: timestep, shape: [batch]),
        "encoder_hidden_states": Tensor([batch, text.shape[1], 1, text.shape[2]], text.rows(rows).buffer),
      ]
      if sizeConditions != nil {
        inputs["time_ids"] = extras.sizes?.rows(rows)
        inputs["text_embeds"] = conditioning.pooled?.rows(rows)
      }
      for (index, residual) in extras.residuals.enumerated() {
        inputs["additional_residual_\(index)"] = residual.rows(rows)
      }
      let output = try model.result("noise_pred", inputs: inputs)
      return output.rows(Array(0..<min(batch, count - start)))
    }
    return .stacked(parts)
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
    var weights: [String: (shape: Shape, buffer: Buffer)] = [:]
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
    switch unet {
    case .folder(let path): try FolderDenoiser(path, precision: precision)
    case .package(let path): try PackageDenoiser(path)
    }
  }
}
