internal import StableDiffusion
internal import Tensors
internal import WeightFiles

extension RunTarget {
  /// `sample`, `timestep`, `encoder_hidden_states` and what else the configuration asks for, to `noise_pred`; residuals
  /// of a ControlNet are taken if they are given.
  func unet(_ component: ModelComponent, _ file: SafetensorsFile) throws -> Results {
    let (unet, _) = try component.unet()
    let asked = try question(unet.configuration, file)
    let residuals = try residuals(unet.configuration, asked.sample.shape, file)
    let y = Execution.withoutGradients {
      unet(
        asked.sample, timestep: asked.timestep, context: asked.context, addition: asked.addition,
        residuals: residuals
      ).channelsFirst()
    }
    return [("noise_pred", y)]
  }

  /// As a UNet's, and the picture `controlnet_cond`, to `additional_residual_0` and so on.
  func controlNet(_ component: ModelComponent, _ file: SafetensorsFile) throws -> Results {
    let network = try component.controlNet()
    let asked = try question(network.configuration, file)
    let picture = try tensor("controlnet_cond", file)
    let (shape, factor) = (asked.sample.shape, network.magnification)
    let wanted: Shape = [shape[0], 3, shape[1] * factor, shape[2] * factor]
    try expect(picture.shape == wanted, "controlnet_cond", "\(wanted)", picture.shape)
    let residuals = Execution.withoutGradients {
      network(
        asked.sample, timestep: asked.timestep, context: asked.context,
        picture: picture.channelsLast(), addition: asked.addition
      ).map { $0.channelsFirst() }
    }
    return residuals.enumerated().map { ("additional_residual_\($0)", $1) }
  }

  /// What UNet and ControlNet are asked, in the engine's shapes.
  private struct Question {
    let sample, timestep, context: Tensor
    let addition: UNet.Addition?
  }

  private func question(
    _ configuration: UNetConfiguration, _ file: SafetensorsFile
  ) throws -> Question {
    let sample = try tensor("sample", file)
    let context = try tensor("encoder_hidden_states", file)
    let timestep = try tensor("timestep", file)
    let (channels, text) = (configuration.inputChannels, configuration.contextFeatures[0])
    try expect(
      sample.shape.rank == 4 && sample.shape[1] == channels && sample.shape.count > 0, "sample",
      "[batch, \(channels), height, width]", sample.shape)
    let batch = sample.shape[0]
    try expect(
      context.shape.rank == 3 && context.shape[0] == batch && context.shape[2] == text
        && context.shape[1] > 0, "encoder_hidden_states", "[\(batch), tokens, \(text)]",
      context.shape)
    try expect(
      timestep.shape.count == batch || timestep.shape.count == 1, "timestep", "[\(batch)]",
      timestep.shape)
    let steps = (0..<batch).map { timestep.elements[timestep.shape.count == 1 ? 0 : $0] }
    return Question(
      sample: sample.channelsLast(), timestep: Tensor([batch], steps), context: context,
      addition: try addition(configuration, batch, file))
  }

  private func addition(
    _ configuration: UNetConfiguration, _ batch: Int, _ file: SafetensorsFile
  ) throws -> UNet.Addition? {
    guard let textTime = configuration.textTime else { return nil }
    let pooled = try tensor("text_embeds", file)
    let ids = try tensor("time_ids", file)
    try expect(ids.shape.rank == 2 && ids.shape[0] == batch, "time_ids", "[\(batch), 6]", ids.shape)
    let features = textTime.projectionInputs - ids.shape[1] * textTime.timeFeatures
    try expect(
      pooled.shape == [batch, features], "text_embeds", "[\(batch), \(features)]", pooled.shape)
    return UNet.Addition(textEmbeddings: pooled, timeIdentifiers: ids)
  }

  /// - Parameter sample: `[batch, height, width, channels]`
  private func residuals(
    _ configuration: UNetConfiguration, _ sample: Shape, _ file: SafetensorsFile
  ) throws -> [Tensor] {
    guard file.names.contains("additional_residual_0") else { return [] }
    let shapes = configuration.skipShapes(batch: sample[0], height: sample[1], width: sample[2])
    return try shapes.enumerated().map { index, shape in
      let name = "additional_residual_\(index)"
      let residual = try tensor(name, file)
      let wanted: Shape = [shape[0], shape[3], shape[1], shape[2]]
      try expect(residual.shape == wanted, name, "\(wanted)", residual.shape)
      return residual.channelsLast()
    }
  }
}
