package import Files
package import Kernels

/// Named tensors of a file that `torch.save` wrote (`.ckpt`, `.pt`, `.bin`), read without running anything of it.
///
/// Names of tensors inside of dictionaries are joined by dots; where there is a `state_dict`, only that counts.
package struct TorchFile: WeightSource {
  private let file: MappedFile
  private let tensors: [String: PickledTensor]
  /// Where each storage's bytes are.
  private let storages: [String: Range<Int>]
  /// Texts beside the tensors, by their joined names.
  package let metadata: [String: String]

  package init(path: String) throws(FileError) { try self.init(MappedFile.open(path)) }

  init(_ file: MappedFile) throws(FileError) {
    self.file = file
    let contents: TorchContents
    switch FileContent(file) {
    case .zip: (contents, storages) = try Self.archive(file)
    case .pickle: (contents, storages) = try Self.legacy(file)
    case let other:
      throw .malformed(file: file.path, expected: "a file of torch.save", found: other.inWords)
    }
    (tensors, metadata) = (contents.tensors, contents.texts)
    guard !tensors.isEmpty else { throw .malformed(file: file.path, expected: "tensors in the pickle", found: "none") }
    for tensor in tensors.values {
      let storage = tensor.storage
      guard let range = storages[storage.key] else {
        throw .missing(file: file.path, item: "member data/\(storage.key), which the pickle names")
      }
      guard storage.count <= range.count / storage.type.byteCount else {
        throw .malformedItem(
          file: file.path, item: "data/\(storage.key)",
          expected: "\(storage.count) elements of \(storage.type.rawValue)",
          found: "\(range.count) bytes")
      }
    }
  }

  /// The tensors of a zip archive's pickle, and its storages.
  private static func archive(_ file: MappedFile) throws(FileError) -> (TorchContents, [String: Range<Int>]) {
    let members = try ZipDirectory(file).members
    let pickles = members.keys.filter { $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }
    guard let name = pickles.first, let range = members[name] else {
      throw .missing(file: file.path, item: "member data.pkl: is this a file of torch.save?")
    }
    guard pickles.count == 1 else {
      throw .malformed(
        file: file.path, expected: "one member data.pkl", found: pickles.sorted().joined(separator: ", "))
    }
    let folder = name.dropLast("data.pkl".count) + "data/"
    var storages: [String: Range<Int>] = [:]
    for (path, range) in members where path.hasPrefix(folder) { storages[String(path.dropFirst(folder.count))] = range }
    if let order = members[name.dropLast("data.pkl".count) + "byteorder"],
      file.withBytes(order, { $0.elements(as: UInt8.self) }) == Array("big".utf8)
    {
      throw .malformed(file: file.path, expected: "little-endian numbers", found: "big-endian ones")
    }
    let unpickler = Unpickler(file, range)
    let root = try unpickler.value()
    defer { withExtendedLifetime(unpickler) {} }
    return (try TorchContents(root, file.path), storages)
  }

  /// Five pickles (a magic number, a version, the system's sizes, the object, the storages' keys), then each storage's
  /// count and elements, as torch wrote before 1.6.
  private static func legacy(_ file: MappedFile) throws(FileError) -> (TorchContents, [String: Range<Int>]) {
    let unpickler = Unpickler(file, 0..<file.count)
    defer { withExtendedLifetime(unpickler) {} }
    // The magic number has ten bytes and reads as opaque; version and sizes are not needed.
    for _ in 0..<3 { _ = try unpickler.value() }
    let root = try unpickler.value()
    guard case .list(let keys) = try unpickler.value() else {
      throw .malformed(file: file.path, expected: "a file of torch.save with a list of storages", found: "none")
    }
    var types: [String: ElementType] = [:]
    for tensor in try TorchContents(root, file.path, unwraps: false).tensors.values {
      let storage = tensor.storage
      if let other = types.updateValue(storage.type, forKey: storage.key), other != storage.type {
        throw .malformedItem(
          file: file.path, item: "data/\(storage.key)", expected: "elements of one type",
          found: "\(other.rawValue) and \(storage.type.rawValue)")
      }
    }
    var cursor = ByteCursor(file, unpickler.offset..<file.count, kind: "a file of torch.save")
    var storages: [String: Range<Int>] = [:]
    for key in keys.texts {
      let count = try cursor.count(Int64.self)
      // Storages that nothing refers to would have an unknown width.
      guard let type = types[key] else {
        throw .malformedItem(file: file.path, item: "data/\(key)", expected: "a tensor that uses it", found: "none")
      }
      storages[key] = try cursor.take(count * type.byteCount)
    }
    return (try TorchContents(root, file.path), storages)
  }

  package var origin: String { file.path }
  package var files: [String] { [file.path] }
  package var names: [String] { tensors.keys.sorted() }
  package func shape(of name: String) -> [Int]? { tensors[name]?.shape }
  package func typeName(of name: String) -> String? { tensors[name]?.storage.type.rawValue }
  package func holdsFloats(_ name: String) -> Bool { tensors[name]?.storage.type.isFloat ?? false }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    guard let tensor = tensors[name], let range = storages[tensor.storage.key] else {
      throw .missing(file: file.path, item: "tensor \(name)")
    }
    let (type, count) = (tensor.storage.type, tensor.count)
    if tensor.isContiguous {
      let start = range.lowerBound + tensor.offset * type.byteCount
      return file.elements(start..<start + count * type.byteCount, type.format, count: count)
    }
    // What the view covers, which begins with its first element.
    let span = (tensor.end ?? tensor.offset) - tensor.offset
    guard span <= max(16 * count, 1 << 20) else {
      throw .malformedItem(
        file: file.path, item: name, expected: "a view of most of what it covers", found: "\(count) of \(span) elements"
      )
    }
    let start = range.lowerBound + tensor.offset * type.byteCount
    let all = file.elements(start..<start + span * type.byteCount, type.format, count: span).buffer
    let view = Buffer(uninitialized: count)
    view.withMutableSpan(0..<count) { y in
      var place = [Int](repeating: 0, count: tensor.shape.count)
      for index in 0..<count {
        y[index] = all[zip(place, tensor.strides).reduce(0) { $0 + $1.0 * $1.1 }]
        for axis in place.indices.reversed() {
          place[axis] += 1
          if place[axis] < tensor.shape[axis] { break }
          place[axis] = 0
        }
      }
    }
    return WeightElements(view)
  }
}
