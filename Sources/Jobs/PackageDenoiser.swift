internal import Foundation
internal import Kernels
internal import MILRuntime
internal import Tensors
internal import Training

/// A UNet package as the evaluation asks it: the runner computes, from packed weights.
struct PackageDenoiser: Sendable {
  /// Samples in a call.
  let batch: Int
  private let model: PackageModel

  init(_ path: String) throws {
    model = try PackageModel(path: path)
    guard let sample = model.inputs.first(where: { $0.name == "sample" }),
      let batch = sample.shape.first, let batch, batch > 0
    else { throw JobError.noUNet(path: path, found: model.inputs.map(\.name)) }
    self.batch = batch
  }

  /// Answers for up to ``batch`` samples; a shorter batch is filled up with its last sample.
  var denoiser: DenoisingEvaluation.Denoiser {
    { noisy, timestep, context in
      let count = noisy.shape[0]
      let rows = (0..<batch).map { min($0, count - 1) }
      let sample = noisy.rows(rows).channelsFirst()
      let text = context.rows(rows).permuted(0, 2, 1)
      let outputs = try model.run(inputs: [
        "sample": NamedTensor(shape: sample.shape.axes, elements: sample.buffer),
        "timestep": NamedTensor(
          shape: [batch], elements: Buffer(repeating: timestep, count: batch)),
        "encoder_hidden_states": NamedTensor(
          shape: [batch, text.shape[1], 1, text.shape[2]], elements: text.buffer),
      ])
      guard let prediction = outputs["noise_pred"] else {
        throw JobError.noUNet(path: model.path, found: outputs.keys.sorted())
      }
      return Tensor(Shape(prediction.shape), prediction.elements).channelsLast()
        .rows(Array(0..<count))
    }
  }
}
