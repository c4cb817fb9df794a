package import Foundation
package import Models
package import Recipes

extension Recipe {
  /// The recipe's model with all that is put on top of it.
  ///
  /// - Parameter folder: what the recipe's paths are relative to.
  package func modelSource(_ folder: URL) throws -> ModelSource {
    var additions = ModelAdditions()
    additions.adapters = lora.map { text in
      let adapter = ModelAdditions.Adapter(text)
      return .init(path: path(adapter.path, in: folder), strength: adapter.strength)
    }
    additions.embeddings = embeddings.map { path($0, in: folder) }
    additions.vae = vae.isEmpty ? nil : path(vae, in: folder)
    additions.configuration = modelConfig.isEmpty ? nil : path(modelConfig, in: folder)
    additions.prediction = predictionType == .asTheModelSays ? nil : predictionType.rawValue
    additions.guidance = embeddedGuidance
    return try ModelSource(path(model, in: folder), additions)
  }
}
