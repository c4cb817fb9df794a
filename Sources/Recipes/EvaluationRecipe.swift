/// How the result is measured.
package struct EvaluationRecipe: Codable, Sendable, Equatable {
  /// Validation pictures, from the first on; 0 for all.
  package var pictures: Int
  /// Timesteps at which the predicted noise is compared, 0 to 999.
  package var timesteps: [Int]

  init() {
    pictures = 0
    timesteps = Array(stride(from: 50, to: 1000, by: 100))
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = EvaluationRecipe()
    pictures = try values.value(.pictures, defaults.pictures)
    timesteps = try values.value(.timesteps, defaults.timesteps)
  }

  func validate() throws(RecipeError) {
    try Check.that(pictures >= 0, "evaluation.pictures", "0 or more", pictures)
    try Check.that(
      !timesteps.isEmpty && timesteps.allSatisfy { (0...999).contains($0) },
      "evaluation.timesteps", "one or more from 0 to 999", timesteps)
  }
}
