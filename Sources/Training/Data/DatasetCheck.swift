internal import Recipes
package import StableDiffusion
internal import Tensors

extension LatentDataset {
  /// - Throws: ``TrainingError/mismatch`` if the pictures or their captions are not of the model's kind.
  package func check(
    _ unet: UNetConfiguration, _ encoders: [TextEncoderConfiguration], file: String
  ) throws(TrainingError) {
    for shape in shapes where shape[0] != unet.inputChannels {
      throw .mismatch(
        what: "\(file): channels of the latents", expected: "\(unet.inputChannels), the UNet's", found: "\(shape[0])")
    }
    guard captions.encoders >= encoders.count else {
      throw .mismatch(
        what: "\(file): captions", expected: "tokens of \(encoders.count) text encoders, input_ids and input_ids_2",
        found: "input_ids alone")
    }
    for (number, encoder) in encoders.enumerated() { try check(number, encoder, file) }
    let tokens = encoders.indices.map { captions.tokenCount($0) }
    guard tokens.allSatisfy({ $0 == tokens[0] }) else {
      throw .mismatch(
        what: "\(file): input_ids_2", expected: "\(tokens[0]) tokens a caption, as input_ids", found: "\(tokens[1])")
    }
    let features = encoders.reduce(0) { $0 + $1.features }
    guard unet.contextFeatures.allSatisfy({ $0 == features }) else {
      throw .mismatch(
        what: "cross_attention_dim of the UNet", expected: "\(features), the text encoders'",
        found: "\(unet.contextFeatures)")
    }
    guard let textTime = unet.textTime, let last = encoders.last else { return }
    let pooled = last.projection ?? last.features
    let sizes = textTime.projectionInputs - pooled
    guard [5, 6].contains(where: { sizes == $0 * textTime.timeFeatures }) else {
      throw .mismatch(
        what: "projection_class_embeddings_input_dim of the UNet",
        expected: "the last text encoder's \(pooled) and 6 (the refiner: 5) times \(textTime.timeFeatures)",
        found: "\(textTime.projectionInputs)")
    }
  }

  private func check(
    _ number: Int, _ encoder: TextEncoderConfiguration, _ file: String
  ) throws(TrainingError) {
    guard captions.tokenCount(number) <= encoder.positions else {
      throw .mismatch(
        what: "\(file): tokens of a caption", expected: "at most \(encoder.positions)",
        found: "\(captions.tokenCount(number))")
    }
    let range = captions.range(number)
    guard range.lowerBound >= 0, range.upperBound < encoder.vocabulary else {
      throw .mismatch(
        what: "\(file): token numbers", expected: "0 to \(encoder.vocabulary - 1)",
        found: "\(range.lowerBound) to \(range.upperBound)")
    }
  }
}

extension EvaluationRecipe {
  /// - Throws: ``TrainingError/mismatch`` if a timestep lies behind the schedule's last.
  func check(_ schedule: NoiseSchedule) throws(TrainingError) {
    guard let last = timesteps.max(), last >= schedule.timesteps else { return }
    throw .mismatch(
      what: "evaluation.timesteps",
      expected: "below \(schedule.timesteps), num_train_timesteps of the model's scheduler", found: "\(last)")
  }
}
