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
    let json = try Data(contentsOf: Self.folder.appending(path: name))
    let recipe = try StrictDecoding.decode(Recipe.self, from: json, file: name)
    try recipe.validate()
    #expect(recipe.name + ".json" == name)
    let written = try JSONSerialization.jsonObject(with: json) as? NSDictionary
    let encoded = try JSONSerialization.jsonObject(with: recipe.encoded()) as? NSDictionary
    #expect(written == encoded, "a recipe that is shipped spells out every key")
  }
}
