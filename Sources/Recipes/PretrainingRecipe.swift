/// A UNet and its text encoder trained from scratch, without palettes (`sdtune train`).
///
/// Paths are relative to the recipe's folder.
package struct PretrainingRecipe: RecipeDocument {
  /// Names the run: results go to `checkpoints/<name>/` unless told otherwise.
  package var name: String
  /// A diffusers folder that gives the architecture (`config.json` of `unet` and `text_encoder`) and everything that is
  /// not trained: VAE, tokenizer, scheduler. Its UNet and text encoder need no weights.
  package var model: String
  /// An HDF5 file of latents and token numbers (`docs/data-format.md`).
  package var data: String
  /// Of all random numbers, the first weights included.
  package var seed: UInt64
  /// Decay of the exponential moving average of the weights, which is what the run ends with; it rises to this from
  /// 1/10 as `(1 + step) / (10 + step)`.
  package var averageDecay: Double
  package var training: TrainingRecipe
  package var evaluation: EvaluationRecipe

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    name = try values.decode(String.self, forKey: .name)
    model = try values.decode(String.self, forKey: .model)
    data = try values.decode(String.self, forKey: .data)
    seed = try values.value(.seed, 0)
    averageDecay = try values.value(.averageDecay, 0.999)
    training = try values.decode(TrainingRecipe.self, forKey: .training)
    evaluation = try values.value(.evaluation, EvaluationRecipe())
  }

  package func validate() throws(RecipeError) {
    try Check.name(name)
    try Check.that(
      averageDecay >= 0 && averageDecay < 1, "averageDecay", "0 or more and below 1", averageDecay)
    guard training.loss == .diffusion else {
      throw .invalid(
        path: "training.loss", expected: "diffusion: a model from scratch has no teacher",
        found: "'\(training.loss.rawValue)'")
    }
    guard training.state == .memory else {
      throw .invalid(
        path: "training.state", expected: "memory: only tuning keeps its state in a file",
        found: "'\(training.state.rawValue)'")
    }
    guard training.onNaN == .stop else {
      throw .invalid(
        path: "training.onNaN", expected: "stop: only tuning goes back", found: "'\(training.onNaN.rawValue)'")
    }
    let alone = ": a model from scratch has no teacher"
    try Check.that(training.featureWeight == 0, "training.featureWeight", "0" + alone, training.featureWeight)
    try Check.that(training.blockShare == 0, "training.blockShare", "0" + alone, training.blockShare)
    try Check.that(training.latents == .data, "training.latents", "data" + alone, training.latents.rawValue)
    try Check.that(
      training.timesteps.distribution == .uniform, "training.timesteps.distribution",
      "uniform: only tuning draws otherwise", training.timesteps.distribution.rawValue)
    try training.validate()
    try evaluation.validate()
  }
}
