package import Checkpoints
package import Files
internal import Foundation
internal import Kernels

/// The file that pictures are encoded into, once: posterior means and deviations by size, the samples that they make
/// up, and captions as text and as tokens (`docs/data-format.md`).
///
/// Nothing but its tables is in memory; latents are read row by row.
package final class LatentCache: Sendable {
  static let formatName = "sdtune-latents"
  static let formatVersion = 2
  /// Attributes that belong to the format.
  static let own: Set = ["latents.format", "latents.version", CacheChecksum.attribute]

  /// Latents of one size.
  struct Size: Sendable {
    /// `[channels, height, width]`
    let shape: [Int]
    let count: Int
    /// What each row was made of; see ``PictureSettings/key(_:_:)``.
    let keys: [String]
    /// Of each row: the checksums of mean and deviation; empty in files of earlier versions.
    let checks: [Int]
    /// Of each row: left and top of the crop in the resized picture, width and height of the original; in pixels.
    let facts: [Int]

    var group: String { LatentCache.group(shape) }
  }

  /// A picture, or one of several rows of metadata for it.
  struct Sample: Sendable, Equatable {
    var file: String
    /// Number of the size in ``sizes``.
    var size: Int
    var row: Int
    /// Rows from ``row`` on, of which training draws one.
    var variants: Int
    var isValidation: Bool
    var repeats: Int
    /// Width and height that the model is told, in pixels.
    var original: [Int]
    /// In ``captions``.
    var captions: Range<Int>
  }

  package let path: String
  package let attributes: [String: AttributeValue]
  let sizes: [Size]
  let samples: [Sample]
  /// As the set has them, without prefix or suffix.
  let captions: [String]
  private let file: HDF5File

  static func group(_ shape: [Int]) -> String { "latents/\(shape[2])x\(shape[1])" }

  /// Whether a file is one of these, not of the old format or of another kind.
  package static func isCache(_ path: String) throws(FileError) -> Bool {
    try HDF5File(reading: path).attributes()["latents.format"] == .string(formatName)
  }

  package init(_ path: String) throws(FileError) {
    self.path = path
    file = try HDF5File(reading: path)
    attributes = try file.attributes()
    guard attributes["latents.format"] == .string(Self.formatName),
      attributes["latents.version"] == .integer(Self.formatVersion)
    else {
      throw .malformed(
        file: path, expected: "latents of version \(Self.formatVersion)", found: "another version or another file")
    }
    var sizes: [Size] = []
    for name in try file.groups(in: "/latents") {
      let group = "latents/\(name)"
      guard let shape = try file.shape(of: "\(group)/mean"), shape.count == 4,
        (1...1 << 30).contains(shape[0]), shape[1...].allSatisfy({ (1...1 << 14).contains($0) }),
        try file.shape(of: "\(group)/deviation") == shape, group == Self.group(Array(shape.dropFirst()))
      else {
        throw .malformedItem(
          file: path, item: group, expected: "mean and deviation [pictures, channels, height, width]", found: "others")
      }
      let keys = try PackedTexts.read("\(group)/keys", file)
      let facts = try file.integers("\(group)/facts").values
      let checks = try file.shape(of: "\(group)/checks") == nil ? [] : file.integers("\(group)/checks").values
      guard checks.isEmpty || checks.count == 2 * shape[0] else {
        throw .malformedItem(
          file: path, item: "\(group)/checks", expected: "\(2 * shape[0]) numbers", found: "\(checks.count)")
      }
      guard keys.count == shape[0], facts.count == 4 * shape[0], facts.allSatisfy({ (0...1 << 30).contains($0) }) else {
        throw .malformedItem(
          file: path, item: group, expected: "\(shape[0]) keys, crops and sizes",
          found: "\(keys.count) and \(facts.count / 4)")
      }
      sizes.append(Size(shape: Array(shape.dropFirst()), count: shape[0], keys: keys, checks: checks, facts: facts))
    }
    self.sizes = sizes
    captions = try PackedTexts.read("captions/text", file)
    samples = try Self.samples(file, sizes, captions: captions.count)
    try checkTables()
  }

  /// Holds the tables against their checksum; files of earlier versions have none.
  private func checkTables() throws(FileError) {
    guard let written = attributes[CacheChecksum.attribute] else {
      // A name with one wrong letter would take the check away.
      guard sizes.allSatisfy(\.checks.isEmpty) else { throw .missing(file: path, item: CacheChecksum.attribute) }
      return
    }
    var checksum = CacheChecksum()
    for size in sizes { checksum.add(size.group, keys: size.keys, facts: size.facts, checks: size.checks) }
    var empty: [[Int]] = []
    for name in ["empty_input_ids", "empty_input_ids_2"] where try file.shape(of: name) != nil {
      empty.append(try file.integers(name).values)
    }
    checksum.add(samples, captions, tokens: try tokens().map(\.values) + empty)
    checksum.add(attributes)
    guard written == .integer(checksum.value) else { throw damaged("its tables") }
  }

  private func damaged(_ item: String) -> FileError {
    .malformedItem(
      file: path, item: item, expected: "what was written, by the checksum",
      found: "others; delete the file, it is made again from the pictures")
  }

  private static func samples(
    _ file: borrowing HDF5File, _ sizes: [Size], captions: Int
  ) throws(FileError) -> [Sample] {
    let names = try PackedTexts.read("samples/file", file)
    let table = try file.integers("samples/table")
    let width = 9
    guard table.shape == [names.count, width] else {
      throw .malformedItem(
        file: file.path, item: "samples/table", expected: "\([names.count, width])", found: "\(table.shape)")
    }
    var samples: [Sample] = []
    samples.reserveCapacity(names.count)
    for (index, name) in names.enumerated() {
      let row = Array(table.values[index * width..<(index + 1) * width])
      let isSound =
        sizes.indices.contains(row[0]) && row[1] >= 0 && row[2] > 0 && row[1] < sizes[row[0]].count
        && row[2] <= sizes[row[0]].count - row[1] && (0...1).contains(row[3]) && (1...1_000_000).contains(row[4])
        && row[5] > 0 && row[6] > 0 && row[7] >= 0 && row[8] >= row[7] && row[8] <= captions
      guard isSound else {
        throw .malformedItem(
          file: file.path, item: "samples/table", expected: "rows and captions of this file", found: "\(row)")
      }
      samples.append(
        Sample(
          file: name, size: row[0], row: row[1], variants: row[2], isValidation: row[3] == 1, repeats: row[4],
          original: [row[5], row[6]], captions: row[7]..<row[8]))
    }
    return samples
  }

  /// One row of `mean` or `deviation`, `[channels, height, width]`.
  func row(_ array: String, _ size: Int, _ row: Int) throws(FileError) -> Buffer {
    let latents = try file.floatRows(
      "\(sizes[size].group)/\(array)", row..<row + 1, rowCount: sizes[size].shape.reduce(1, *))
    let checks = sizes[size].checks
    guard checks.isEmpty || checks[2 * row + (array == "mean" ? 0 : 1)] == CacheChecksum.of(latents) else {
      throw damaged("\(sizes[size].group)/\(array) row \(row)")
    }
    return latents
  }

  /// Pixels of a latent pixel's side.
  var magnification: Int {
    if case .integer(let number) = attributes["magnification"], (1...64).contains(number) { number } else { 8 }
  }

  /// - Throws: ``TrainingError/mismatch`` where the latents are another VAE's.
  func check(vae: String) throws(TrainingError) {
    let found = text("vae") ?? "unknown"
    guard found != vae else { return }
    throw .mismatch(
      what: path, expected: "latents of this model's VAE (\(vae.prefix(12)))",
      found: "those of another (\(found.prefix(12))): choose another file, or delete it")
  }

  func number(_ attribute: String) -> Double? {
    if case .double(let number) = attributes[attribute] { number } else { nil }
  }

  func text(_ attribute: String) -> String? {
    if case .string(let text) = attributes[attribute] { text } else { nil }
  }

  /// Token numbers of the captions as they were prepared, `[captions, tokens]` for each text encoder.
  func tokens() throws(FileError) -> [(shape: [Int], values: [Int])] {
    var tokens: [(shape: [Int], values: [Int])] = []
    for name in ["captions/input_ids", "captions/input_ids_2"] where try file.shape(of: name) != nil {
      tokens.append(try file.integers(name))
    }
    return tokens
  }
}
