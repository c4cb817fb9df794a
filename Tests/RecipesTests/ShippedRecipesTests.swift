import Foundation
import Recipes
import Testing

/// Every shipped recipe decodes, makes sense and says everything it means.
@Suite struct ShippedRecipesTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "recipes")
  static let names =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    .filter { $0.hasSuffix(".json") }.sorted()

  @Test func areThere() {
    #expect(Set(["unet-2bit.json", "unet-4bit.json", "unet-6bit.json"]).isSubset(of: Self.names))
  }

  @Test(arguments: names)
  func decodesAndEncodesIdentically(name: String) throws {
    let recipe: Recipe = try decode(name)
    #expect(recipe.name + ".json" == name)
  }

  @Test func modelRecipesDecodeAndEncodeIdentically() throws {
    let models = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path + "/models")
    #expect(models.contains("emoji-sd.json"))
    for name in models {
      let recipe: PretrainingRecipe = try decode("models/" + name)
      #expect(recipe.name + ".json" == name)
    }
  }

  private func decode<Document: RecipeDocument>(_ name: String) throws -> Document {
    let json = try Data(contentsOf: Self.folder.appending(path: name))
    let recipe = try StrictDecoding.decode(Document.self, from: json, file: name)
    try recipe.validate()
    let written = try JSONSerialization.jsonObject(with: json) as? NSDictionary
    let encoded = try JSONSerialization.jsonObject(with: recipe.encoded()) as? NSDictionary
    #expect(written == encoded, "a recipe that is shipped spells out every key")
    return recipe
  }
}
