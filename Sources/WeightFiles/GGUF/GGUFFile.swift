package import Files
package import Kernels

/// Named tensors of a GGUF file (version 2 or 3), as stable-diffusion.cpp and ComfyUI-GGUF write them.
package struct GGUFFile: WeightSource {
  private enum Storage {
    case plain(RawElements.Format)
    case blocks(GGUFBlocks)
  }

  private struct Entry {
    let shape: [Int]
    let typeName: String
    let storage: Storage
    let range: Range<Int>

    var count: Int { shape.reduce(1, *) }
  }

  private let file: MappedFile
  private let entries: [String: Entry]
  /// The file's notes that are numbers or text.
  package let metadata: [String: String]

  private static let kind = "a GGUF file"
  private static let deepestArray = 3
  /// Kept of an array, such as a vocabulary; extents need no more.
  private static let mostValues = 64

  init(_ file: MappedFile) throws(FileError) {
    self.file = file
    var cursor = ByteCursor(file, 4..<max(4, file.count), kind: Self.kind)
    let version = try cursor.number(UInt32.self)
    guard version == 2 || version == 3 else {
      throw .malformed(file: file.path, expected: "a GGUF file of version 2 or 3", found: "version \(version)")
    }
    let tensorCount = try cursor.count(UInt64.self)
    let pairCount = try cursor.count(UInt64.self)
    var metadata: [String: String] = [:]
    var originalShapes: [String: [Int]] = [:]
    for _ in 0..<pairCount {
      let key = try Self.string(&cursor)
      let type = try cursor.number(UInt32.self)
      let value = try Self.value(&cursor, type: type, depth: 0)
      metadata[key] = value.joined(separator: ",")
      let prefix = "comfy.gguf.orig_shape."
      if key.hasPrefix(prefix) { originalShapes[String(key.dropFirst(prefix.count))] = value.compactMap { Int($0) } }
    }
    var placed: [(name: String, shape: [Int], type: UInt32, offset: Int)] = []
    for _ in 0..<tensorCount {
      let name = try Self.string(&cursor)
      let rank = try cursor.number(UInt32.self)
      guard rank <= 4 else { throw Self.malformed(file, name, "at most 4 extents", "\(rank)") }
      var extents: [Int] = []
      for _ in 0..<rank { extents.append(Int(clamping: try cursor.number(UInt64.self))) }
      let type = try cursor.number(UInt32.self)
      placed.append((name, extents.reversed(), type, Int(clamping: try cursor.number(UInt64.self))))
    }
    let alignment = metadata["general.alignment"].flatMap(Int.init) ?? 32
    guard (1...1 << 20).contains(alignment) else {
      throw .malformedItem(file: file.path, item: "general.alignment", expected: "1 to 1048576", found: "\(alignment)")
    }
    let start = (cursor.offset + alignment - 1) / alignment * alignment
    var entries: [String: Entry] = [:]
    for tensor in placed {
      guard entries[tensor.name] == nil else { throw Self.malformed(file, tensor.name, "each name once", "twice") }
      entries[tensor.name] = try Self.entry(tensor, originalShapes[tensor.name], start, file)
    }
    self.entries = entries
    self.metadata = metadata
  }

  private static func malformed(_ file: MappedFile, _ name: String, _ expected: String, _ found: String) -> FileError {
    .malformedItem(file: file.path, item: name, expected: expected, found: found)
  }

  private static func entry(
    _ tensor: (name: String, shape: [Int], type: UInt32, offset: Int), _ original: [Int]?, _ start: Int,
    _ file: MappedFile
  ) throws(FileError) -> Entry {
    let (storage, typeName, blockCount, blockBytes): (Storage, String, Int, Int)
    switch tensor.type {
    case 0: (storage, typeName, blockCount, blockBytes) = (.plain(.single), "F32", 1, 4)
    case 1: (storage, typeName, blockCount, blockBytes) = (.plain(.half), "F16", 1, 2)
    case 30: (storage, typeName, blockCount, blockBytes) = (.plain(.brainFloat), "BF16", 1, 2)
    case 28: (storage, typeName, blockCount, blockBytes) = (.plain(.double), "F64", 1, 8)
    default:
      guard let blocks = GGUFBlocks.known[tensor.type] else {
        let names = GGUFBlocks.known.sorted { $0.key < $1.key }.map(\.value.name)
        throw malformed(
          file, tensor.name, "a GGUF type of F32, F16, BF16, \(names.joined(separator: ", "))",
          "type number \(tensor.type)")
      }
      (storage, typeName, blockCount, blockBytes) = (.blocks(blocks), blocks.name, blocks.count, blocks.bytes)
    }
    guard let count = Extents.count(tensor.shape), count % blockCount == 0,
      case let (bytes, overflow) = (count / blockCount).multipliedReportingOverflow(by: blockBytes), !overflow,
      tensor.offset <= file.count - min(start, file.count), bytes <= file.count - start - tensor.offset
    else {
      throw malformed(
        file, tensor.name, "\(tensor.shape) elements of \(typeName) inside the file",
        "\(file.count) bytes: is the file complete?")
    }
    let shape = original ?? tensor.shape
    guard Extents.count(shape) == count else {
      throw malformed(file, tensor.name, "as many elements as \(tensor.shape) has", "\(shape)")
    }
    let first = start + tensor.offset
    return Entry(shape: shape, typeName: typeName, storage: storage, range: first..<first + bytes)
  }

  private static func string(_ cursor: inout ByteCursor) throws(FileError) -> String {
    try cursor.text(cursor.count(UInt64.self))
  }

  /// A note's value, or the values of its array.
  private static func value(
    _ cursor: inout ByteCursor, type: UInt32, depth: Int
  ) throws(FileError) -> [String] {
    switch type {
    case 0: return ["\(try cursor.number(UInt8.self))"]
    case 1: return ["\(try cursor.number(Int8.self))"]
    case 2: return ["\(try cursor.number(UInt16.self))"]
    case 3: return ["\(try cursor.number(Int16.self))"]
    case 4: return ["\(try cursor.number(UInt32.self))"]
    case 5: return ["\(try cursor.number(Int32.self))"]
    case 6: return ["\(Float(bitPattern: try cursor.number(UInt32.self)))"]
    case 7: return ["\(try cursor.number(UInt8.self) != 0)"]
    case 8: return [try string(&cursor)]
    case 9 where depth < deepestArray:
      let (inner, count) = (try cursor.number(UInt32.self), try cursor.count(UInt64.self))
      var values: [String] = []
      for _ in 0..<count {
        let next = try value(&cursor, type: inner, depth: depth + 1)
        if values.count < mostValues { values += next }
      }
      return values
    case 10: return ["\(try cursor.number(UInt64.self))"]
    case 11: return ["\(try cursor.number(Int64.self))"]
    case 12: return ["\(Double(bitPattern: try cursor.number(UInt64.self)))"]
    default:
      throw .malformed(file: cursor.file.path, expected: "a GGUF file with values of types 0 to 12", found: "\(type)")
    }
  }

  package var origin: String { file.path }
  package var files: [String] { [file.path] }
  package var names: [String] { entries.keys.sorted() }
  package func shape(of name: String) -> [Int]? { entries[name]?.shape }
  package func typeName(of name: String) -> String? { entries[name]?.typeName }
  package func holdsFloats(_ name: String) -> Bool { entries[name] != nil }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    guard let entry = entries[name] else { throw .missing(file: file.path, item: "tensor \(name)") }
    switch entry.storage {
    case .plain(let format): return file.elements(entry.range, format, count: entry.count)
    case .blocks(let blocks):
      return WeightElements(
        count: entry.count,
        making: { [file] part, y, offset in
          part.forEachRow { elements, row in
            Self.decode(blocks, file, entry.range, elements, into: y, at: offset + row)
          }
        }, finally: { [file] in file.forget(entry.range) })
    }
  }

  /// Writes some elements: the blocks they lie in, one after the other.
  private static func decode(
    _ blocks: GGUFBlocks, _ file: MappedFile, _ range: Range<Int>, _ elements: Range<Int>, into y: Buffer,
    at offset: Int
  ) {
    guard !elements.isEmpty else { return }
    var values = [Float](repeating: 0, count: blocks.count)
    y.withMutableSpan(offset..<offset + elements.count) { span in
      for number in elements.lowerBound / blocks.count...(elements.upperBound - 1) / blocks.count {
        let first = range.lowerBound + number * blocks.bytes
        file.withBytes(first..<first + blocks.bytes) { blocks.decode($0, &values) }
        let start = number * blocks.count
        for index in max(start, elements.lowerBound)..<min(start + blocks.count, elements.upperBound) {
          span[index - elements.lowerBound] = values[index - start]
        }
      }
    }
  }
}
