import Foundation
import Kernels
import Layers
import Models
import StableDiffusion
import TestSupport
import Testing
import WeightFiles

/// Adapters and embeddings against what their own tools make of them.
@Suite struct AdapterFilesTests {
  private func additions(_ entry: ModelFiles.Entry, _ strength: Double) -> ModelAdditions {
    var additions = ModelFiles.additions(entry)
    additions.adapters = [.init(path: ModelFiles.path(entry.file), strength: strength)]
    return additions
  }

  @Test(arguments: ModelFiles.entries("lora", result: "ok"))
  func mergedWeights(entry: ModelFiles.Entry) throws {
    let base = ModelFiles.path(try #require(entry.base))
    try #require(!entry.strengths.isEmpty)
    for (strength, file) in entry.strengths {
      let additions = additions(entry, try #require(Double(strength)))
      do {
        let model = try ModelSource(base, additions)
        let files = [file] + entry.alternatives.filter { Double($0.key) == Double(strength) }.values
        let complaints = try files.map { try Self.complaints(model, $0, entry.tolerance) }
        #expect(complaints.contains { $0.isEmpty }, "at \(strength): \(complaints[0].prefix(3))")
        try unchanged(model, base, entry, files[0])
      } catch {
        #expect(entry.mayRefuse, "\(error)")
      }
    }
  }

  /// What differs from the expected weights.
  private static func complaints(_ model: ModelSource, _ file: String, _ tolerance: Double) throws -> [String] {
    guard file.hasSuffix(".json") else {
      let expected = try SafetensorsFile(path: ModelFiles.path(file))
      return try expected.names.compactMap { name in
        let found = try weights(model, name)
        let wanted = try expected.floats(name).elements
        var worst = 0.0
        for (x, y) in zip(found, wanted) {
          let (x, y) = (Double(x), Double(y))
          worst = max(worst, abs(x - y) - 1e-6 * abs(y))
        }
        return found.count == wanted.count && worst <= tolerance ? nil : "\(name): off by \(worst)"
      }
    }
    return try ModelFiles.json(file).compactMap { name, value in
      guard let facts = value as? [String: Any], let sum = facts["sum"] as? Double,
        let magnitude = facts["sumAbs"] as? Double, let places = facts["at"] as? [[Double]]
      else { return "\(name): no facts" }
      let found = try weights(model, name).map(Double.init)
      for place in places where !(abs(found[Int(place[0])] - place[1]) <= tolerance + 1e-6 * abs(place[1])) {
        return "\(name)[\(Int(place[0]))]: \(found[Int(place[0])]) instead of \(place[1])"
      }
      let (all, size) = (found.reduce(0, +), found.reduce(0) { $0 + abs($1) })
      guard abs(all - sum) <= 1e-6 * magnitude + 1e-9, abs(size - magnitude) <= 1e-6 * magnitude else {
        return "\(name): sums \(all) and \(size) instead of \(sum) and \(magnitude)"
      }
      return nil
    }
  }

  /// - Parameter name: the part's, a dot, and the weight's.
  private static func weights(_ model: ModelSource, _ name: String) throws -> [Float] {
    let part = try #require(ModelPart.allCases.last { name.hasPrefix($0.rawValue + ".") })
    return try model.component(part).weights.floats(String(name.dropFirst(part.rawValue.count + 1))).elements
  }

  /// Weights that nobody lists are the base's, to the bit.
  private func unchanged(_ model: ModelSource, _ base: String, _ entry: ModelFiles.Entry, _ file: String) throws {
    let listed =
      file.hasSuffix(".json")
      ? Set(try ModelFiles.json(file).keys) : Set(try SafetensorsFile(path: ModelFiles.path(file)).names)
    let plain = try ModelSource(base, ModelFiles.additions(entry))
    for part in [ModelPart.unet, .textEncoder, .textEncoder2] where plain.has(part) {
      let (before, after) = (try plain.component(part).weights, try model.component(part).weights)
      #expect(before.names == after.names)
      for name in before.names where !listed.contains("\(part.rawValue).\(name)") {
        // Tools differ about which modules of one file count; what one of them changes need not be here.
        guard entry.alternatives.isEmpty else { continue }
        #expect(try before.floats(name).bytes == after.floats(name).bytes, "\(name)")
      }
    }
  }

  @Test(arguments: ModelFiles.entries("lora", result: "refuse"))
  func brokenAdaptersAreRefused(entry: ModelFiles.Entry) throws {
    do {
      let model = try ModelSource(ModelFiles.path(try #require(entry.base)), additions(entry, 1))
      try ModelFilesTests.build(model)
      #expect(entry.mayRead, "was read")
    } catch {
      ModelFilesTests.check("\(error)", entry)
    }
  }

  /// A part of a weight is the same whatever else is read with it.
  @Test(arguments: ModelFiles.entries("lora", result: "ok"))
  func partsAreTheWhole(entry: ModelFiles.Entry) throws {
    guard let model = try? ModelSource(ModelFiles.path(try #require(entry.base)), additions(entry, 0.7)) else { return }
    for part in [ModelPart.unet, .textEncoder] where model.has(part) {
      let weights = try model.component(part).weights
      for name in weights.names.filter({ ($0.hashValue & 3) == 0 }) {
        let elements = try weights.elements(name)
        let whole = elements.buffer
        let y = Buffer(uninitialized: elements.count)
        var start = 0
        while start < elements.count {
          let end = min(elements.count, start + 7)
          elements.copy(.init(first: start, columns: end - start), into: y, at: start)
          start = end
        }
        #expect(whole.bytes == y.bytes, "\(name)")
      }
    }
  }

  @Test(arguments: ModelFiles.entries("embedding", result: "ok"))
  func embeddingsAreRead(entry: ModelFiles.Entry) throws {
    var additions = ModelFiles.additions(entry)
    additions.embeddings = [ModelFiles.path(entry.file)]
    do {
      let model = try ModelSource(ModelFiles.path(try #require(entry.base)), additions)
      guard let file = entry.embedding else {
        if let rows = entry.rows { try check(model, .textEncoder, rows, firstRow: nil) }
        return
      }
      let json = try ModelFiles.json(file)
      let parts = ModelPart.textEncoders.compactMap { part in (json[part.rawValue] as? [String: Any]).map { (part, $0) }
      }
      for (part, facts) in parts.isEmpty ? [(.textEncoder, json)] : parts {
        let first = try #require(facts["firstId"] as? Int)
        try check(model, part, try #require(facts["rows"] as? String), firstRow: first)
        let files = try TokenizerFiles(folder: ModelFiles.path("tokenizer"))
        for item in facts["prompts"] as? [[String: Any]] ?? [] where item["optional"] == nil {
          let (prompt, ids) = (try #require(item["prompt"] as? String), try #require(item["ids"] as? [Int]))
          let tokenizer = try CLIPTokenizer(model.knowingEmbeddings(files, part), length: ids.count)
          #expect(tokenizer(prompt) == ids, "\(prompt)")
        }
      }
    } catch {
      #expect(entry.mayRefuse, "\(error)")
    }
  }

  /// The embedding's rows stand at the end of the table.
  private func check(_ model: ModelSource, _ part: ModelPart, _ file: String, firstRow: Int?) throws {
    let rows = try SafetensorsFile(path: ModelFiles.path(file))
    let expected = try rows.floats(try #require(rows.names.first)).elements
    let (encoder, store) = try model.component(part).textEncoder()
    let table = try #require(store.buffer("text_model.embeddings.token_embedding.weight")).elements
    let width = encoder.configuration.features
    #expect(table.suffix(expected.count) == expected[...])
    if let firstRow { #expect(table.count == firstRow * width + expected.count) }
  }

  @Test(arguments: ModelFiles.entries("embedding", result: "refuse"))
  func foreignEmbeddingsAreRefused(entry: ModelFiles.Entry) throws {
    var additions = ModelFiles.additions(entry)
    additions.embeddings = [ModelFiles.path(entry.file)]
    do {
      _ = try ModelSource(ModelFiles.path(try #require(entry.base)), additions)
      #expect(entry.mayRead, "was read")
    } catch {
      ModelFilesTests.check("\(error)", entry)
    }
  }
}
