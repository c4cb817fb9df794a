internal import StrictJSON
internal import SwiftCSV

/// Rows of `metadata.jsonl` and `metadata.csv`, as Hugging Face's imagefolder has them: only pictures that have a row
/// count, and paths are relative to the file.
struct PictureMetadata {
  struct Row {
    /// The picture's path inside the set.
    let file: String
    let captions: [String]
    let originalSize: [Int]?
  }

  /// Columns that hold a caption, in the order in which they are asked.
  private static let captionColumns = ["text", "caption", "prompt"]
  private static let fileColumns = ["file_name", "image_file_name"]
  private static let mostBytes = 256 << 20

  private let file: String
  private let folder: [Substring]
  private let isThere: (String) -> Bool
  /// What the rows should call the caption; nil for the usual names.
  private let column: String?

  /// - Parameters:
  ///   - file: of the metadata, inside the set.
  ///   - column: that holds the captions; nil for `text`, else `caption`, else `prompt`.
  ///   - isThere: whether the set has a file.
  init(_ file: String, column: String?, isThere: @escaping (String) -> Bool) {
    self.file = file
    self.column = column
    self.isThere = isThere
    folder = RelativePath.folders(file)
  }

  func rows(_ store: some PictureStore) throws(PictureSetError) -> [Row] {
    var bytes = try store.bytes(of: file, limit: Self.mostBytes)
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
    return file.hasSuffix(".csv") ? try csv(bytes) : try jsonLines(bytes)
  }

  private func jsonLines(_ bytes: [UInt8]) throws(PictureSetError) -> [Row] {
    var rows: [Row] = []
    for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
      guard line.contains(where: { $0 > 0x20 }) else { continue }
      guard let object = try? StrictJSON.parse(Array(line)), case .object(let members) = object else {
        throw .metadata(file: file, line: index + 1, reason: "not JSON: expected an object a line")
      }
      let values = Dictionary(members.map { ($0.key, $0.value) }) { first, _ in first }
      let sizes = ["original_width", "original_height"].compactMap { values[$0]?.whole }
      guard let row = try row(values.mapValues(\.captions), line: index + 1, sizes: sizes) else { continue }
      rows.append(row)
    }
    return rows
  }

  private func csv(_ bytes: [UInt8]) throws(PictureSetError) -> [Row] {
    guard let text = String(validating: bytes, as: UTF8.self),
      let table = try? EnumeratedCSV(string: text, delimiter: .comma, loadColumns: false)
    else { throw .metadata(file: file, line: 0, reason: "not a table in UTF-8 whose quotes end") }
    var rows: [Row] = []
    var line = 2
    for cells in table.rows {
      let values = Dictionary(zip(table.header, cells).map { ($0, [$1]) }) { first, _ in first }
      let sizes = ["original_width", "original_height"].compactMap { values[$0]?.first.flatMap { Int($0) } }
      if let row = try row(values, line: line, sizes: sizes) { rows.append(row) }
      line += 1 + cells.reduce(0) { $0 + $1.count(where: \.isNewline) }
    }
    return rows
  }

  /// - Parameter values: texts by column.
  /// - Returns: nil for a row that names no picture.
  private func row(_ values: [String: [String]], line: Int, sizes: [Int]) throws(PictureSetError) -> Row? {
    guard let column = Self.fileColumns.first(where: { values[$0] != nil }) else {
      throw .metadata(file: file, line: line, reason: "no file_name, which says what picture the row is of")
    }
    guard let name = values[column]?.first, !name.isEmpty else { return nil }
    guard let path = RelativePath.normalized(name, in: folder) else {
      throw .metadata(file: file, line: line, reason: "\(column) \"\(name)\" leaves the folder")
    }
    guard isThere(path) else { throw .metadata(file: file, line: line, reason: "\(name) is not there") }
    if let wanted = self.column, values[wanted] == nil {
      throw .metadata(
        file: file, line: line,
        reason: "no column '\(wanted)'; there are \(values.keys.sorted().joined(separator: ", "))")
    }
    let texts = (self.column.map { [$0] } ?? Self.captionColumns).compactMap { values[$0] }.first ?? []
    let captions = texts.filter { !CaptionText.stripped($0).isEmpty }
    for caption in captions where caption.utf8.count > CaptionText.mostBytes {
      throw .metadata(
        file: file, line: line, reason: "\(CaptionText.Failure.tooLong(bytes: caption.utf8.count))")
    }
    return Row(
      file: path, captions: captions,
      originalSize: sizes.count == 2 && sizes.allSatisfy { (1...1 << 30).contains($0) } ? sizes : nil)
  }
}

extension StrictJSON {
  /// A text, or several of which each describes the picture; none for null.
  fileprivate var captions: [String] {
    switch self {
    case .string(let text): [text]
    case .integer(let number): ["\(number)"]
    case .unsigned(let number): ["\(number)"]
    case .number(let number): ["\(number)"]
    case .array(let elements): elements.flatMap(\.captions)
    case .boolean, .object, .null: []
    }
  }

  var whole: Int? { if case .integer(let number) = self { number } else { nil } }
}
