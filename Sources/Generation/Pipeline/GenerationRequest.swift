package import Pictures
package import StableDiffusion
package import Tensors

/// What is to be generated and how; the defaults are diffusers'.
package struct GenerationRequest: Sendable {
  /// Which tool's behaviour is reproduced where tools differ.
  package enum Compatibility: String, Sendable, CaseIterable {
    /// True CLIP tokens, torch's noise, the last latents decoded.
    case diffusers
    /// ml-stable-diffusion's Swift package: its tokenizer, NumPy's noise, the last predicted picture decoded.
    case apple
  }

  /// A picture to start from.
  package struct Start: Sendable {
    package let picture: Picture
    /// Share of the steps that are taken, 0 to 1.
    package let strength: Double
    /// White where something new is to be painted; nil for everywhere.
    package let mask: Picture?

    package init(picture: Picture, strength: Double, mask: Picture? = nil) {
      self.picture = picture
      self.strength = strength
      self.mask = mask
    }
  }

  /// A ControlNet and what it looks at.
  package struct ControlPicture: Sendable {
    package let place: ModelPlace
    package let picture: Picture
    /// What the ControlNet's residuals are multiplied by.
    package let scale: Double

    package init(place: ModelPlace, picture: Picture, scale: Double) {
      self.place = place
      self.picture = picture
      self.scale = scale
    }
  }

  /// SDXL's second UNet, for the last steps; it takes what the second text encoder says.
  package struct Refiner: Sendable {
    package let unet: ModelPlace
    /// Share of the noise that the base model takes away, 0 to 1.
    package let start: Double

    package init(unet: ModelPlace, start: Double = 0.8) {
      self.unet = unet
      self.start = start
    }
  }

  package var prompt: String
  /// Nil is not the empty prompt for SDXL, which may take zeros instead.
  package var negativePrompt: String?
  /// Pixels; nil for what the model was trained on.
  package var width: Int?
  package var height: Int?
  package var steps = 50
  /// How far to go from the negative prompt's answer to the prompt's; 1 and less asks for the prompt alone.
  package var guidance = 7.5
  package var seed: UInt64 = 0
  package var count = 1
  package var method: SamplerConfiguration.Method?
  package var spacing: TimestepSpacing?
  package var usesKarras: Bool?
  /// DDIM's share of fresh noise.
  package var eta = 0.0
  package var compatibility = Compatibility.diffusers
  /// Nil for the compatibility's own.
  package var noiseSource: NoiseSource.Kind?
  package var start: Start?
  package var control: ControlPicture?
  package var refiner: Refiner?
  /// Whether `(words:1.2)` are weights; plain text otherwise.
  package var readsWeights = false
  package var overflow = PromptEncoder.Overflow.cut
  /// Components are loaded just before use, both halves of the guidance are asked one after the other, the VAE decodes
  /// in tiles.
  package var reducesMemory = false
  package var precision = Precision.single
  /// Whether pictures are not shown to the model's safety checker.
  package var skipsSafetyChecker = false

  package init(prompt: String) { self.prompt = prompt }

  package func validate() throws(GenerationError) {
    try check(
      "steps", (1...1000).contains(steps), "1 to 1000", "\(steps)")
    try check("count", (1...10_000).contains(count), "1 to 10000", "\(count)")
    try check("guidance", guidance.isFinite && abs(guidance) <= 100, "−100 to 100", "\(guidance)")
    try check("eta", (0...1).contains(eta), "0 to 1", "\(eta)")
    for (name, size) in [("width", width), ("height", height)] {
      if let size { try check(name, (8...8192).contains(size), "8 to 8192", "\(size)") }
    }
    if let refiner {
      try check("refiner's start", (0...1).contains(refiner.start), "0 to 1", "\(refiner.start)")
    }
    if let start {
      try check("strength", (0...1).contains(start.strength), "0 to 1", "\(start.strength)")
    }
  }

  private func check(
    _ name: String, _ holds: Bool, _ expected: String, _ found: String
  ) throws(GenerationError) {
    guard holds else { throw .option(name: name, expected: expected, found: found) }
  }
}
