internal import Files
internal import Foundation
internal import Kernels
internal import StableDiffusion
internal import StrictJSON
internal import WeightFiles

/// Embeddings that textual inversion learned (Gal et al. 2022): further rows of the text encoders' tables of tokens, and the
/// words that stand for them.
///
/// The rows follow those of the vocabulary, in the order of the files; a word stands for all rows of its embedding, as in
/// diffusers.
struct TextualInversions: Sendable {
  /// One word's rows, for each text encoder.
  private struct Embedding: Sendable {
    /// Spellings: the name inside and, of AUTOMATIC1111's files, the file's.
    let words: [String]
    let count: Int
    /// `[count, features]` each.
    let rows: [ModelPart: Buffer]
  }

  private let embeddings: [Embedding]
  private let files: [String]
  /// Rows of the tables without them.
  private let vocabularies: [ModelPart: Int]

  private static let table = "text_model.embeddings.token_embedding.weight"

  /// - Throws: ``ModelError`` if an embedding is of another width than the model's text encoders.
  init(_ paths: [String], for layout: any ModelLayout) throws {
    files = paths
    var vocabularies: [ModelPart: Int] = [:]
    var widths: [ModelPart: Int] = [:]
    for part in ModelPart.textEncoders where !paths.isEmpty && layout.parts.contains(part) {
      let encoder = try TextEncoderConfiguration(layout.configuration(of: part))
      (vocabularies[part], widths[part]) = (encoder.vocabulary, encoder.features)
    }
    self.vocabularies = vocabularies
    embeddings = try paths.flatMap { try Self.read($0, widths) }
  }

  private static func read(_ path: String, _ widths: [ModelPart: Int]) throws -> [Embedding] {
    let source = try WeightFile.open(path)
    let stem = URL(filePath: path).deletingPathExtension().lastPathComponent
    let names = source.names
    func both(_ first: String, _ second: String) throws -> [Embedding] {
      [try embedding([stem], source, [.textEncoder: first, .textEncoder2: second], widths)]
    }
    if source.contains("clip_l"), source.contains("clip_g") { return try both("clip_l", "clip_g") }
    if source.contains("text_encoders_0"), source.contains("text_encoders_1") {
      return try both("text_encoders_0", "text_encoders_1")
    }
    let only = widths.count == 1 ? widths.keys.first ?? .textEncoder : .textEncoder
    if source.contains("emb_params") { return [try embedding([stem], source, [only: "emb_params"], widths)] }
    if let name = names.first(where: { $0.hasPrefix("string_to_param.") }) {
      let inside = source.metadata["name"]
      return [try embedding([stem] + (inside.map { $0 == stem ? [] : [$0] } ?? []), source, [only: name], widths)]
    }
    guard !names.isEmpty, names.count <= 64, names.allSatisfy({ !$0.contains(".") }) else {
      throw ModelError.embedding(
        path: path, expected: "an embedding of textual inversion",
        found: "\(names.count) tensors, first '\(names.first ?? "")'")
    }
    return try names.map { try embedding([$0], source, [only: $0], widths) }
  }

  private static func embedding(
    _ words: [String], _ source: any WeightSource, _ tensors: [ModelPart: String], _ widths: [ModelPart: Int]
  ) throws -> Embedding {
    var rows: [ModelPart: Buffer] = [:]
    var counts: Set<Int> = []
    let own = widths.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value)" }.joined(separator: " and ")
    for (part, name) in tensors {
      let shape = source.shape(of: name) ?? []
      guard (1...2).contains(shape.count), let width = shape.last, shape.count == 1 || (1...77).contains(shape[0]),
        source.holdsFloats(name)
      else { throw ModelError.embedding(path: source.origin, expected: "vectors as '\(name)'", found: "\(shape)") }
      guard tensors.count == widths.count, widths[part] == width else {
        throw ModelError.embedding(
          path: source.origin, expected: "vectors of \(own) numbers, as wide as the model's text encoder",
          found: "\(tensors.values.map { "\(source.shape(of: $0)?.last ?? 0)" }.sorted().joined(separator: " and ")): "
            + "it is for another family")
      }
      counts.insert(shape.count == 1 ? 1 : shape[0])
      rows[part] = try source.floats(name)
    }
    guard counts.count == 1, let count = counts.first else {
      throw ModelError.embedding(
        path: source.origin, expected: "as many vectors for both text encoders", found: "\(counts.sorted())")
    }
    return Embedding(words: words, count: count, rows: rows)
  }

  private var rowCount: Int { embeddings.reduce(0) { $0 + $1.count } }

  /// A text encoder's configuration with the further rows.
  func enlarged(_ json: JSONConfiguration, _ part: ModelPart) -> JSONConfiguration {
    guard let vocabulary = vocabularies[part] else { return json }
    return json.replacing(["vocab_size": .integer(vocabulary + rowCount)])
  }

  /// A text encoder with the rows of the embeddings.
  func added(to component: ModelComponent, _ part: ModelPart) throws -> ModelComponent {
    guard vocabularies[part] != nil else { return component }
    let rows = embeddings.compactMap { $0.rows[part] }
    let weights = AppendedRows(component.weights, Self.table, rows, files: files)
    return try ModelComponent(enlarged(component.configuration, part), weights)
  }

  /// A tokenizer that knows the embeddings' words.
  func added(to tokenizer: TokenizerFiles, _ part: ModelPart) -> TokenizerFiles {
    guard var next = vocabularies[part] else { return tokenizer }
    var tokens: [(text: String, numbers: [Int])] = []
    for embedding in embeddings {
      let numbers = Array(next..<next + embedding.count)
      tokens += embedding.words.map { ($0, numbers) }
      next += embedding.count
    }
    return tokenizer.adding(tokens)
  }
}

/// Weights one of which has further rows.
private struct AppendedRows: WeightSource {
  private let base: any WeightSource
  private let table: String
  private let rows: [Buffer]
  private let ownFiles: [String]

  init(_ base: any WeightSource, _ table: String, _ rows: [Buffer], files: [String]) {
    (self.base, self.table, self.rows, ownFiles) = (base, table, rows, files)
  }

  private var addedElements: Int { rows.reduce(0) { $0 + $1.count } }

  var origin: String { base.origin }
  var files: [String] { base.files + ownFiles }
  var notes: [String] { base.notes + ["\(rows.count) embeddings"] }
  var names: [String] { base.names }
  func spelling(of name: String) -> String { base.spelling(of: name) }
  func typeName(of name: String) -> String? { base.typeName(of: name) }
  func holdsFloats(_ name: String) -> Bool { base.holdsFloats(name) }

  func shape(of name: String) -> [Int]? {
    guard name == table, let shape = base.shape(of: name), shape.count == 2, shape[1] > 0 else {
      return base.shape(of: name)
    }
    return [shape[0] + addedElements / shape[1], shape[1]]
  }

  func elements(_ name: String) throws(FileError) -> WeightElements {
    let own = try base.elements(name)
    guard name == table else { return own }
    let whole = Buffer(uninitialized: own.count + addedElements)
    own.copy(.init(first: 0, columns: own.count), into: whole)
    var end = own.count
    for part in rows {
      whole.copy(from: part, 0..<part.count, at: end)
      end += part.count
    }
    return WeightElements(whole)
  }
}
