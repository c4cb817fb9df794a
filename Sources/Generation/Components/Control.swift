internal import MILRuntime
internal import StableDiffusion
internal import Tensors

/// A ControlNet, from a folder or a package.
struct ControlEncoding: Sendable {
  private enum Engine: Sendable {
    case folder(ControlNet)
    case package(PackageModel, batch: Int)
  }

  private let engine: Engine

  init(_ place: ModelSet.Place) throws {
    switch place {
    case .folder(let path): engine = .folder(try DiffusersFolder.controlNet(path))
    case .package(let path):
      let model = try PackageModel(path: path)
      _ = try model.shape(of: "controlnet_cond", rank: 4)
      engine = .package(model, batch: try model.shape(of: "sample", rank: 4)[0])
    }
  }

  /// - Parameters:
  ///   - sample: `[rows, 4, height, width]`
  ///   - picture: from 0 to 1, `[1, 3, height · 8, width · 8]`
  func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, sizes: Tensor?, picture: Tensor
  ) throws -> [Tensor] {
    let rows = sample.shape[0]
    let steps = Tensor(repeating: timestep, shape: [rows])
    let pictures = picture.rows([Int](repeating: 0, count: rows))
    switch engine {
    case .folder(let network):
      let addition = try network.configuration.addition(conditioning, sizes)
      return Execution.withoutGradients {
        network(
          sample.channelsLast(), timestep: steps, context: conditioning.states,
          picture: pictures.channelsLast(), addition: addition
        ).map { $0.channelsFirst() }
      }
    case .package(let model, let batch):
      guard batch == rows else {
        throw GenerationError.package(
          path: model.path, expected: "\(rows) rows a call", found: "\(batch)")
      }
      let text = Execution.withoutGradients { conditioning.states.permuted(0, 2, 1) }
      let outputs = try model.results(inputs: [
        "sample": sample, "timestep": steps, "controlnet_cond": pictures,
        "encoder_hidden_states": Tensor([rows, text.shape[1], 1, text.shape[2]], text.buffer),
      ])
      return try (0..<outputs.count).map { index in
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
