/// What Apple's converter tells applications about each feature, word for word.
enum FeatureText {
  static let sample =
    "The low resolution latent feature maps being denoised through reverse diffusion"
  static let timestep =
    "A value emitted by the associated scheduler object to condition the model on a given noise schedule"
  static func hiddenStates(tokens: Int) -> String {
    "Output embeddings from the associated text_encoder model to condition to generated image on text. A maximum of "
      + "\(tokens) tokens (~40 words) are allowed. Longer text is truncated. "
      + "Shorter text does not reduce computation."
  }
  static let timeIdentifiers = "Original size, crop and target size in pixels"
  static let pooledText = "Pooled output of the second text encoder"
  static let residual =
    "One of the additional residuals from each down block of ControlNet"
  static let prediction =
    "Same shape and dtype as the `sample` input. "
    + "The predicted noise to facilitate the reverse diffusion (denoising) process"
  static let tokenNumbers = "The token ids that represent the input text"
  static let lastState = "The token embeddings as encoded by the Transformer model"
  static let penultimateState = "Hidden states after the encoder layers"
  static let pooledOutput = "The version of the `last_hidden_state` output after pooling"
  static let latents =
    "The denoised latent embeddings from the unet model after the last step of reverse diffusion"
  static let image = "Generated image normalized to range [-1, 1]"
  static let picture =
    "The input image to base the initial latents on normalized to range [-1, 1]"
  static let moments = "The latent embeddings from the unet model from the input image."
  static let controlPicture =
    "An additional input image for ControlNet to condition the generated images."
  static let controlResidual =
    "One of the outputs of each downsampling block in ControlNet. "
    + "The value added to the corresponding resnet output in UNet."
  static let clipPicture =
    "The normalized image input tensor resized to (224x224) in channels-first (BCHW) format"
  static func decodedPicture(height: Int, width: Int) -> String {
    "Output of the vae_decoder (\(height)x\(width)) in channels-last (BHWC) format"
  }
  static let adjustment =
    "Bias added to the concept scores to trade off increased recall for reduce precision in the safety checker "
    + "classifier"
  static let filteredPicture =
    "Identical to the input `images`. If safety checker detected any sensitive content, the corresponding image is "
    + "replaced with a blank image (zeros)"
  static let flag =
    "Indicates whether the safety checker model found any sensitive content in the given image"
  static let scores =
    "Concept scores are the scores before thresholding at zero yields the `has_nsfw_concepts` output. "
    + "These scores can be used to tune the `adjustment` input"
}
