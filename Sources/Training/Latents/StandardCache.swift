internal import Digests
package import Foundation
package import Models
package import Recipes

extension LatentCache {
  /// Where a recipe's pictures are kept as latents: where it says, or in a folder `latents` beside the run's.
  ///
  /// The name tells set, VAE and geometry, so that recipes that differ in other things share the file.
  ///
  /// - Parameters:
  ///   - data: the set's path.
  ///   - recipeFolder: what the recipe's paths are relative to.
  ///   - run: the run's folder.
  package static func path(
    of data: String, _ recipe: Recipe, model: ModelSource, recipeFolder: URL, run: String
  ) throws -> String {
    guard recipe.pictures.cache.isEmpty || data != recipe.path(recipe.data, in: recipeFolder) else {
      return recipe.path(recipe.pictures.cache, in: recipeFolder)
    }
    var geometry = recipe.pictures
    let defaults = PictureRecipe()
    geometry.captions = defaults.captions
    (geometry.validation, geometry.unusable) = (defaults.validation, defaults.unusable)
    (geometry.sample, geometry.cache) = (defaults.sample, defaults.cache)
    let place = URL(filePath: data).standardizedFileURL
    var hash = SHA256()
    for part in [place.path, try PictureEncoder.identity(model)] { hash.update(Array("\(part)\n".utf8)) }
    hash.update(try JSONEncoder.sorted.encode(geometry))
    let name = place.deletingPathExtension().lastPathComponent
    return URL(filePath: run).deletingLastPathComponent()
      .appending(path: "latents/\(name)-\(hash.finish().prefix(8)).h5").path
  }
}
