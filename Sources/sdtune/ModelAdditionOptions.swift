internal import ArgumentParser
internal import Foundation
internal import Models
internal import Recipes

/// What is put on top of a model; every command that takes a model takes it.
struct ModelAdditionOptions: ParsableArguments {
  @Option(
    name: .customLong("lora"),
    help: "An adapter (LoRA, LoHa, LoKr, DoRA, …) that is merged in: FILE or FILE:STRENGTH; repeatable.",
    completion: .file())
  var adapters: [String] = []

  @Option(
    name: .customLong("embedding"), help: "A textual inversion embedding; its word is the file's name; repeatable.",
    completion: .file())
  var embeddings: [String] = []

  @Option(help: "Another VAE: a folder or a single file.", completion: .file())
  var vae: String?

  @Option(
    help: "Configurations in diffusers' layout for a single file that does not tell its own.", completion: .directory)
  var modelConfig: String?

  @Option(help: "What the UNet predicts, where its files do not say it: epsilon or v_prediction.")
  var predictionType: String?

  var additions: ModelAdditions {
    var additions = ModelAdditions()
    additions.adapters = adapters.map { ModelAdditions.Adapter($0) }
    additions.embeddings = embeddings
    (additions.vae, additions.configuration, additions.prediction) = (vae, modelConfig, predictionType)
    return additions
  }

  /// Puts what is given in the place of what the recipe says.
  func apply(to recipe: inout Recipe) throws {
    func path(_ text: String) -> String { URL(filePath: text).path }
    if !adapters.isEmpty {
      recipe.lora = additions.adapters.map { "\(path($0.path)):\($0.strength)" }
    }
    if !embeddings.isEmpty { recipe.embeddings = embeddings.map(path) }
    if let vae { recipe.vae = path(vae) }
    if let modelConfig { recipe.modelConfig = path(modelConfig) }
    if let predictionType {
      guard let prediction = Recipe.Prediction(rawValue: predictionType) else {
        throw ValidationError("--prediction-type: expected epsilon or v_prediction, found '\(predictionType)'")
      }
      recipe.predictionType = prediction
    }
  }
}
