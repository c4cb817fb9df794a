internal import Files
internal import Kernels
internal import StrictJSON

/// The part of a safetensors file that says what is where; checked whole before anything is read.
///
///     8 bytes   length of the header, little-endian
///     length    JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …}
///     the rest  the data section, which the tensors cover without gap or overlap
struct SafetensorsHeader: Sendable {
  struct Entry: Sendable {
    let elementType: ElementType
    let shape: [Int]
    /// Bytes of the file, not of the data section.
    var range: Range<Int>

    var count: Int { range.count / elementType.byteCount }
  }

  private(set) var entries: [String: Entry] = [:]
  private(set) var metadata: [String: String] = [:]
  private let path: String

  /// The limit of the reference implementation.
  static let longest = 100_000_000

  init(_ file: MappedFile) throws(FileError) {
    path = file.path
    try FileContent.check(file, is: .safetensors, "a safetensors file")
    guard file.count >= 8 else {
      throw .malformed(
        file: path, expected: "a safetensors file of at least 8 bytes",
        found: "\(file.count) bytes")
    }
    let length = file.withBytes(0..<8) { bytes in bytes.element(0, as: UInt64.self) }
    guard length <= Self.longest, Int(length) <= file.count - 8 else {
      throw .malformed(
        file: path,
        expected: "a safetensors header of at most \(min(Self.longest, file.count - 8)) bytes",
        found: "a length of \(length)")
    }
    let dataStart = 8 + Int(length)
    let text = file.withBytes(8..<dataStart) { bytes in bytes.elements(as: UInt8.self) }
    for member in try members(of: text) {
      if member.key == "__metadata__" {
        metadata = try readMetadata(member.value)
      } else {
        let entry = try readEntry(member)
        guard entry.range.upperBound <= file.count - dataStart else {
          throw .malformedItem(
            file: path, item: member.key,
            expected: "data in the \(file.count - dataStart) bytes behind the header",
            found: "bytes \(entry.range); is the file complete?")
        }
        entries[member.key] = entry
      }
    }
    try checkCoverage(of: file.count - dataStart)
    for name in entries.keys {
      entries[name]!.range = entries[name]!.range.shifted(by: dataStart)
    }
  }

  private func members(of text: [UInt8]) throws(FileError) -> [StrictJSON.Member] {
    let header: StrictJSON
    do {
      header = try StrictJSON.parse(text)
    } catch {
      throw .malformed(
        file: path, expected: "\(error.expected) at byte \(8 + error.offset)",
        found: "a safetensors header that is not JSON")
    }
    guard case .object(let members) = header else {
      throw .malformed(
        file: path, expected: "a JSON object as safetensors header", found: header.kind)
    }
    return members
  }

  private func readMetadata(_ value: StrictJSON) throws(FileError) -> [String: String] {
    guard case .object(let members) = value else {
      throw .malformedItem(
        file: path, item: "__metadata__", expected: "an object", found: value.kind)
    }
    var metadata: [String: String] = [:]
    for member in members {
      guard case .string(let text) = member.value else {
        throw .malformedItem(
          file: path, item: "__metadata__.\(member.key)", expected: "a string",
          found: member.value.kind)
      }
      metadata[member.key] = text
    }
    return metadata
  }

  /// Reads one tensor's entry; its range counts from the start of the data section.
  private func readEntry(_ member: StrictJSON.Member) throws(FileError) -> Entry {
    let name = member.key
    func malformed(_ expected: String, _ found: String) -> FileError {
      .malformedItem(file: path, item: name, expected: expected, found: found)
    }
    guard case .object(let fields) = member.value else {
      throw malformed("an object", member.value.kind)
    }
    let values = Dictionary(uniqueKeysWithValues: fields.map { ($0.key, $0.value) })
    guard case .string(let typeName)? = values["dtype"],
      let shape = naturals(values["shape"]), let offsets = naturals(values["data_offsets"])
    else {
      throw malformed("a dtype, a shape and data_offsets of natural numbers", "otherwise")
    }
    guard let elementType = ElementType(rawValue: typeName) else {
      throw malformed(
        "a dtype of " + ElementType.allCases.map(\.rawValue).joined(separator: " "), typeName)
    }
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw malformed("data_offsets of [begin, end]", "\(offsets)")
    }
    guard let bytes = Self.byteCount(shape, elementType), bytes == offsets[1] - offsets[0] else {
      throw malformed(
        "the bytes of \(typeName) \(shape)", "\(offsets[1] - offsets[0]) bytes")
    }
    return Entry(elementType: elementType, shape: shape, range: offsets[0]..<offsets[1])
  }

  private func naturals(_ value: StrictJSON?) -> [Int]? {
    guard case .array(let elements)? = value else { return nil }
    var numbers: [Int] = []
    for element in elements {
      guard case .integer(let number) = element, number >= 0 else { return nil }
      numbers.append(number)
    }
    return numbers
  }

  /// Bytes of a tensor, nil if no file holds so many.
  static func byteCount(_ shape: [Int], _ elementType: ElementType) -> Int? {
    Extents.count(shape).map { $0 * elementType.byteCount }
  }

  /// Every byte of the data section belongs to one tensor, as the reference implementation demands.
  private func checkCoverage(of dataCount: Int) throws(FileError) {
    var end = 0
    let inOrder = entries.sorted {
      ($0.value.range.lowerBound, $0.value.range.upperBound, $0.key)
        < ($1.value.range.lowerBound, $1.value.range.upperBound, $1.key)
    }
    for (name, entry) in inOrder {
      guard entry.range.lowerBound == end else {
        throw .malformedItem(
          file: path, item: name, expected: "data from byte \(end) of the data section",
          found: entry.range.lowerBound < end
            ? "data from \(entry.range.lowerBound), overlapping another tensor"
            : "data from \(entry.range.lowerBound), leaving a gap")
      }
      end = entry.range.upperBound
    }
    guard end == dataCount else {
      throw .malformed(
        file: path, expected: "\(end) bytes of tensor data", found: "\(dataCount) bytes")
    }
  }
}

extension Range<Int> {
  fileprivate func shifted(by distance: Int) -> Range {
    lowerBound + distance..<upperBound + distance
  }
}
