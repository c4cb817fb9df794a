import Foundation
import Recipes
import Testing

/// `docs/recipe.schema.json` says what the code does: keys, defaults and choices.
@Suite struct SchemaTests {
  private let schema: [String: Any]
  private let least = Data(
    #"{"name": "n", "model": "m", "data": "d", "clustering": {"bits": 4}, "training": {"steps": 1}}"#.utf8)

  init() throws {
    let file = ShippedRecipesTests.folder.deletingLastPathComponent().appending(path: "docs/recipe.schema.json")
    schema = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
  }

  private func decoded(_ assignments: [String] = []) throws -> Recipe {
    try StrictDecoding.decode(
      Recipe.self, from: try StrictDecoding.setting(assignments, in: least, file: "least"), file: "least")
  }

  @Test func keysAndDefaults() throws {
    let encoded = try #require(try JSONSerialization.jsonObject(with: decoded().encoded()) as? [String: Any])
    try compare(schema, encoded, "")
  }

  private func compare(_ schema: [String: Any], _ value: [String: Any], _ path: String) throws {
    let properties = try #require(schema["properties"] as? [String: [String: Any]])
    #expect(Set(properties.keys) == Set(value.keys), "\(path)")
    for (key, property) in properties {
      if let standard = property["default"] {
        #expect(standard as? NSObject == value[key] as? NSObject, "\(path)\(key): \(standard)")
      }
      if property["properties"] != nil, let inner = value[key] as? [String: Any] {
        try compare(property, inner, "\(path)\(key).")
      }
    }
  }

  @Test func choices() throws {
    try check(schema, "")
  }

  private func check(_ schema: [String: Any], _ path: String) throws {
    for (key, property) in try #require(schema["properties"] as? [String: [String: Any]]) {
      if property["properties"] != nil { try check(property, "\(path)\(key).") }
      guard let choices = property["enum"] as? [Any] else { continue }
      for choice in choices { #expect(throws: Never.self) { try decoded(["\(path)\(key)=\(choice)"]) } }
      guard choices.first is String else { continue }
      #expect(throws: RecipeError.self, "\(path)\(key)") { try decoded(["\(path)\(key)=other"]) }
    }
  }

  @Test func layers() throws {
    let properties = try #require(schema["properties"] as? [String: [String: Any]])
    let palettes = try #require(properties["clustering"]?["properties"] as? [String: [String: Any]])
    let items = try #require(palettes["layers"]?["items"] as? [String: Any])
    let layer = try #require(items["properties"] as? [String: [String: Any]])
    let values = layer.mapValues { property -> Any in
      switch property["type"] as? String {
      case "string": "*"
      case "boolean": true
      case "integer", "number": 0
      default: (property["enum"] as? [Any])?.first ?? 0
      }
    }
    let json = String(decoding: try JSONSerialization.data(withJSONObject: [values]), as: UTF8.self)
    let recipe = try decoded(["clustering.layers=\(json)"])
    let encoded = try JSONSerialization.jsonObject(with: JSONEncoder().encode(recipe.clustering.layers))
    #expect((encoded as? [[String: Any]])?.first.map { Set($0.keys) } == Set(layer.keys))
  }
}
