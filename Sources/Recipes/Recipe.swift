/// Everything that determines a run: model, data, palettes, training, export and evaluation.
///
/// Paths are relative to the recipe's folder. The fully resolved recipe is stored in every checkpoint and report.
package struct Recipe: RecipeDocument {
  /// Names the run: results go to `checkpoints/<name>/` unless told otherwise.
  package var name: String
  /// A Stable Diffusion model: a folder in diffusers' layout, a repository of the Hugging Face cache, or a single file.
  package var model: String
  /// Adapters that are merged into it, `FILE` or `FILE:STRENGTH`, in this order.
  package var lora: [String]
  /// Embeddings of textual inversion for its text encoders.
  package var embeddings: [String]
  /// Another VAE, a folder or a single file; empty for the model's own.
  package var vae: String
  /// A folder of configurations in diffusers' layout for single files that do not tell theirs; empty for what is inferred.
  package var modelConfig: String
  /// `epsilon` or `v_prediction`, instead of what the model's files say; empty for that.
  package var predictionType: Prediction
  /// The guidance that a UNet which was distilled to be told it (LCM) is told.
  package var embeddedGuidance: Double
  /// Pictures with captions, a folder, a `.tar` or a `.zip`; an HDF5 file of latents and token numbers
  /// (`docs/data-format.md`); or a text file with a prompt a line.
  package var data: String
  /// Of all random numbers.
  package var seed: UInt64
  package var pictures: PictureRecipe
  package var prior: PriorRecipe
  package var clustering: ClusteringRecipe
  package var training: TrainingRecipe
  package var export: ExportRecipe
  package var evaluation: EvaluationRecipe

  /// What a UNet predicts, as diffusers names it.
  package enum Prediction: String, Choice {
    case asTheModelSays = ""
    case epsilon
    case velocity = "v_prediction"
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    name = try values.decode(String.self, forKey: .name)
    model = try values.decode(String.self, forKey: .model)
    lora = try values.value(.lora, [])
    embeddings = try values.value(.embeddings, [])
    vae = try values.value(.vae, "")
    modelConfig = try values.value(.modelConfig, "")
    predictionType = try values.value(.predictionType, .asTheModelSays)
    embeddedGuidance = try values.value(.embeddedGuidance, 7.5)
    data = try values.decode(String.self, forKey: .data)
    seed = try values.value(.seed, 0)
    pictures = try values.value(.pictures, PictureRecipe())
    prior = try values.value(.prior, PriorRecipe())
    clustering = try values.decode(ClusteringRecipe.self, forKey: .clustering)
    training = try values.decode(TrainingRecipe.self, forKey: .training)
    export = try values.value(.export, ExportRecipe())
    evaluation = try values.value(.evaluation, EvaluationRecipe())
  }

  /// - Throws: for the first value that makes no sense, naming it.
  package func validate() throws(RecipeError) {
    try Check.name(name)
    try Check.that(
      (1...100).contains(embeddedGuidance), "embeddedGuidance", "1 to 100", embeddedGuidance)
    try pictures.validate()
    try prior.validate()
    try clustering.validate()
    try training.validate()
    try export.validate()
    try evaluation.validate()
    for (path, palette) in clustering.palettes
    where palette.needsGroupedPalettes && !export.target.hasGroupedPalettes {
      throw .invalid(
        path: "export.target", expected: "iOS18, which the palettes of \(path) need",
        found: "'\(export.target.rawValue)'")
    }
  }
}

extension Recipe {
  /// Exports for iOS 18 if the target cannot hold the palettes.
  package mutating func raiseTarget() {
    let isGrouped = clustering.palettes.contains { _, palette in palette.needsGroupedPalettes }
    if isGrouped, !export.target.hasGroupedPalettes { export.target = .iOS18 }
  }
}

extension KeyedDecodingContainer {
  /// The value of a key, or what it means to leave it out.
  func value<Value: Decodable>(_ key: Key, _ fallback: Value) throws -> Value {
    try decodeIfPresent(Value.self, forKey: key) ?? fallback
  }
}

/// Checks of single values, with the message a user needs.
enum Check {
  static func name(_ name: String) throws(RecipeError) {
    let isPlain = name.unicodeScalars.allSatisfy { $0.value >= 32 && $0 != "/" }
    guard isPlain, !name.allSatisfy(\.isWhitespace), !name.hasPrefix(".") else {
      throw .invalid(path: "name", expected: "a plain folder name", found: "'\(name)'")
    }
  }

  static func that(
    _ holds: Bool, _ path: String, _ expected: String, _ found: some CustomStringConvertible
  ) throws(RecipeError) {
    guard holds else { throw .invalid(path: path, expected: expected, found: "\(found)") }
  }
}
