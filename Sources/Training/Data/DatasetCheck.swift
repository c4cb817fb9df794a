package import StableDiffusion
internal import Tensors

extension LatentDataset {
  /// - Throws: ``TrainingError/mismatch`` if the pictures or their captions are not of the model's kind.
  package func check(
    _ unet: UNetConfiguration, _ text: TextEncoderConfiguration, file: String
  ) throws(TrainingError) {
    guard latents.shape[1] == unet.inputChannels else {
      throw .mismatch(
        what: "\(file): channels of the latents", expected: "\(unet.inputChannels), the UNet's",
        found: "\(latents.shape[1])")
    }
    guard emptyCaption.count <= text.positions else {
      throw .mismatch(
        what: "\(file): tokens of a caption", expected: "at most \(text.positions)",
        found: "\(emptyCaption.count)")
    }
    let tokens = (captions + [emptyCaption]).joined()
    let (least, largest) = (tokens.min() ?? 0, tokens.max() ?? 0)
    guard least >= 0, largest < text.vocabulary else {
      throw .mismatch(
        what: "\(file): token numbers", expected: "0 to \(text.vocabulary - 1)",
        found: "\(least) to \(largest)")
    }
    guard unet.contextFeatures.allSatisfy({ $0 == text.features }) else {
      throw .mismatch(
        what: "cross_attention_dim of the UNet", expected: "\(text.features), the text encoder's",
        found: "\(unet.contextFeatures)")
    }
  }
}
