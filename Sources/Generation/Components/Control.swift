internal import MILRuntime
internal import Pictures
internal import StableDiffusion
internal import Tensors

/// A ControlNet, from a folder or a package.
struct ControlEncoding: Sendable {
  private enum Engine: Sendable {
    case native(ControlNet)
    case package(PackageModel, batch: Int)
  }

  private let engine: Engine

  /// - Parameter magnification: pixels of a picture for a latent pixel.
  init(_ place: ModelPlace, magnification: Int) throws {
    switch place {
    case .component(let component):
      let network = try component.controlNet()
      guard network.magnification == magnification else {
        throw GenerationError.mismatch(
          what: "\(component.origin): pixels for a latent pixel", expected: "\(magnification), the VAE's",
          found: "\(network.magnification)")
      }
      engine = .native(network)
    case .package(let path):
      let model = try PackageModel(path: path)
      _ = try model.shape(of: "controlnet_cond", rank: 4)
      let batch = try model.shape(of: "sample", rank: 4)[0]
      guard batch > 0 else {
        throw GenerationError.package(path: path, expected: "one row a call or more", found: "\(batch)")
      }
      engine = .package(model, batch: batch)
    }
  }

  /// - Parameters:
  ///   - sample: `[rows, 4, height, width]`
  ///   - picture: from 0 to 1, `[1, 3, height · 8, width · 8]`
  func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, sizes: Tensor?, picture: Tensor
  ) throws -> [Tensor] {
    let rows = sample.shape[0]
    switch engine {
    case .native(let network):
      try Self.check(network.configuration, sample, conditioning)
      let addition = try network.configuration.addition(conditioning, sizes)
      let pictures = picture.rows([Int](repeating: 0, count: rows))
      return Execution.withoutGradients {
        network(
          sample.channelsLast(), timestep: Tensor(repeating: timestep, shape: [rows]), context: conditioning.states,
          picture: pictures.channelsLast(), addition: addition
        ).map { $0.channelsFirst() }
      }
    case .package(let model, let batch):
      let parts = try stride(from: 0, to: rows, by: batch).map { start in
        // A shorter batch is filled up with its last row.
        let taken = (start..<start + batch).map { min($0, rows - 1) }
        let residuals = try Self.residuals(
          model, sample.rows(taken), timestep: timestep, conditioning.rows(taken).states, picture)
        return residuals.map { $0.rows(Array(0..<min(batch, rows - start))) }
      }
      return parts[0].indices.map { index in
        parts.count == 1 ? parts[0][index] : .stacked(parts.map { $0[index] })
      }
    }
  }

  /// A package's residuals for as many rows as it takes in a call.
  private static func residuals(
    _ model: PackageModel, _ sample: Tensor, timestep: Float, _ states: Tensor, _ picture: Tensor
  ) throws -> [Tensor] {
    let rows = sample.shape[0]
    let text = Execution.withoutGradients { states.permuted(0, 2, 1) }
    let outputs = try model.results(inputs: [
      "sample": sample, "timestep": Tensor(repeating: timestep, shape: [rows]),
      "controlnet_cond": picture.rows([Int](repeating: 0, count: rows)),
      "encoder_hidden_states": Tensor([rows, text.shape[1], 1, text.shape[2]], text.buffer),
    ])
    let residuals = try (0..<outputs.count).map { index in
      guard let residual = outputs["additional_residual_\(index)"] else {
        throw GenerationError.package(
          path: model.path, expected: "an output 'additional_residual_\(index)'",
          found: outputs.keys.sorted().joined(separator: ", "))
      }
      guard residual.shape.rank == 4, residual.shape[0] == rows else {
        throw GenerationError.package(
          path: model.path, expected: "residuals [\(rows), channels, height, width]", found: "\(residual.shape)")
      }
      return residual
    }
    guard !residuals.isEmpty else {
      throw GenerationError.package(path: model.path, expected: "outputs 'additional_residual_…'", found: "none")
    }
    return residuals
  }

  private static func check(
    _ configuration: UNetConfiguration, _ sample: Tensor, _ conditioning: Conditioning
  ) throws(GenerationError) {
    let (channels, features) = (sample.shape[1], conditioning.states.shape[2])
    guard configuration.inputChannels == channels else {
      throw .mismatch(
        what: "ControlNet: channels of the latents", expected: "\(configuration.inputChannels)", found: "\(channels)")
    }
    guard configuration.contextFeatures.allSatisfy({ $0 == features }) else {
      throw .mismatch(
        what: "ControlNet: features of a token", expected: "\(configuration.contextFeatures[0])",
        found: "\(features), the text encoder's")
    }
  }
}

/// A ControlNet with the picture it looks at.
package struct Control: Sendable {
  private let network: ControlEncoding
  /// From 0 to 1, `[1, 3, height, width]`
  private let picture: Tensor
  private let scale: Double

  init(_ network: ControlEncoding, picture: Picture, scale: Double) {
    self.network = network
    self.picture = Tensor(picture.values.shape, picture.values.elements.map { ($0 + 1) / 2 })
    self.scale = scale
  }

  /// What to add to the UNet's skips and middle.
  func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, sizes: Tensor?
  ) throws -> [Tensor] {
    let residuals = try network(
      sample, timestep: timestep, conditioning, sizes: sizes, picture: picture)
    return scale == 1 ? residuals : residuals.map { .combination((scale, $0)) }
  }
}
