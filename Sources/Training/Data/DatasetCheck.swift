internal import Kernels
internal import Recipes
package import StableDiffusion
internal import Tensors

extension LatentDataset {
  /// - Throws: ``TrainingError/mismatch`` if the pictures or their captions are not of the model's kind.
  package func check(
    _ unet: UNetConfiguration, _ encoders: [TextEncoderConfiguration], file: String
  ) throws(TrainingError) {
    guard latents.shape[1] == unet.inputChannels else {
      throw .mismatch(
        what: "\(file): channels of the latents", expected: "\(unet.inputChannels), the UNet's",
        found: "\(latents.shape[1])")
    }
    guard Elementwise.sumOfSquares(latents.buffer).isFinite else {
      throw .mismatch(what: "\(file): latents", expected: "finite numbers", found: "NaN or infinity among them")
    }
    guard texts.count >= encoders.count else {
      throw .mismatch(
        what: "\(file): captions", expected: "tokens of \(encoders.count) text encoders, input_ids and input_ids_2",
        found: "input_ids alone")
    }
    for (text, encoder) in zip(texts, encoders) { try Self.check(text, encoder, file) }
    let tokens = texts.prefix(encoders.count).map(\.empty.count)
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

  private static func check(
    _ text: Text, _ encoder: TextEncoderConfiguration, _ file: String
  ) throws(TrainingError) {
    guard text.empty.count <= encoder.positions else {
      throw .mismatch(
        what: "\(file): tokens of a caption", expected: "at most \(encoder.positions)",
        found: "\(text.empty.count)")
    }
    let tokens = (text.captions + [text.empty]).joined()
    let (least, largest) = (tokens.min() ?? 0, tokens.max() ?? 0)
    guard least >= 0, largest < encoder.vocabulary else {
      throw .mismatch(
        what: "\(file): token numbers", expected: "0 to \(encoder.vocabulary - 1)",
        found: "\(least) to \(largest)")
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
