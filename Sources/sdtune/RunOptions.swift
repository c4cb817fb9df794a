internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Recipes

/// What commands that train are told: a recipe, and the folder of its run.
struct RunOptions: ParsableArguments {
  @Option(help: "The recipe, a JSON file.", completion: .file(extensions: ["json"]))
  var recipe: String

  @Flag(help: "Continue from the output folder's checkpoint.")
  var resume = false

  @Option(help: "The run's folder (default: checkpoints/<recipe name>).")
  var output: String?

  @OptionGroup var settings: RecipeSettings

  /// The recipe with its values replaced.
  func document<Document: RecipeDocument>() throws -> Document {
    try RecipeFile.read(recipe, settings: settings.assignments)
  }

  /// What the recipe's paths are relative to.
  var recipeFolder: URL { RecipeFile.folder(of: recipe) }
}

/// What the command line says instead of a recipe.
struct RecipeSettings: ParsableArguments {
  @Option(name: .customLong("set"), help: "Replace a value of the recipe: key.path=value; repeatable.")
  var assignments: [String] = []
}
