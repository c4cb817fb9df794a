internal import Foundation

/// `Manifest.json`: which files a package consists of.
struct Manifest: Codable {
  struct Item: Codable {
    let path: String
    let name: String
    let author: String
    let description: String
  }

  let fileFormatVersion: String
  let rootModelIdentifier: String
  let itemInfoEntries: [String: Item]

  static let fileName = "Manifest.json"

  /// Reads a manifest and checks what can be checked without looking at other files.
  init(_ data: Data, package: String) throws(MILError) {
    func refuse(_ expected: String, _ found: String) -> MILError {
      .manifest(package: package, expected: expected, found: found)
    }
    let object = try? JSONSerialization.jsonObject(with: data)
    guard let object = object as? [String: Any] else {
      throw refuse("a JSON object", "\(data.count) bytes of something else")
    }
    let known: Set = ["fileFormatVersion", "rootModelIdentifier", "itemInfoEntries"]
    if let unknown = object.keys.sorted().first(where: { !known.contains($0) }) {
      throw refuse("only the keys \(known.sorted())", "'\(unknown.prefix(80))'")
    }
    if let missing = known.subtracting(object.keys).sorted().first {
      throw refuse("the key '\(missing)'", "none")
    }
    do {
      self = try JSONDecoder().decode(Manifest.self, from: data)
    } catch {
      throw refuse("items with path, name, author and description as texts", "another form")
    }
    guard fileFormatVersion == "1.0.0" else {
      throw refuse("fileFormatVersion 1.0.0", "'\(fileFormatVersion.prefix(80))'")
    }
    guard itemInfoEntries[rootModelIdentifier] != nil else {
      throw refuse(
        "an item named by rootModelIdentifier", "no item '\(rootModelIdentifier.prefix(80))'")
    }
  }

  /// The manifest of a package that is written here: identifiers are fixed, so that equal models
  /// give equal bytes.
  init(hasWeights: Bool) {
    fileFormatVersion = "1.0.0"
    rootModelIdentifier = "5d7c1e64-0000-4000-8000-000000000001"
    var items = [
      rootModelIdentifier: Item(
        path: "com.apple.CoreML/model.mlmodel", name: "model.mlmodel", author: "com.apple.CoreML",
        description: "CoreML Model Specification")
    ]
    if hasWeights {
      items["5d7c1e64-0000-4000-8000-000000000002"] = Item(
        path: "com.apple.CoreML/weights", name: "weights", author: "com.apple.CoreML",
        description: "CoreML Model Weights")
    }
    itemInfoEntries = items
  }

  func encoded() -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("texts can always be written as JSON")
    }
    return data
  }
}
