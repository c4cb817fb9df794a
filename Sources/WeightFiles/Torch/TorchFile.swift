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
  package let texts: [String: String]

  private static let deepest = 16
  private static let mostTensors = 1_000_000

  package init(path: String) throws(FileError) { try self.init(MappedFile.open(path)) }

  init(_ file: MappedFile) throws(FileError) {
    self.file = file
    let root: PickleValue
    switch FileContent(file) {
    case .zip: (root, storages) = try Self.archive(file)
    case .pickle: (root, storages) = try Self.legacy(file)
    case let other:
      throw .malformed(file: file.path, expected: "a file of torch.save", found: other.inWords)
    }
    var (tensors, texts): ([String: PickledTensor], [String: String]) = ([:], [:])
    try Self.collect(Self.unwrapped(root), "", 0, file.path, &tensors, &texts)
    guard !tensors.isEmpty else { throw .malformed(file: file.path, expected: "tensors in the pickle", found: "none") }
    for tensor in tensors.values {
      let storage = tensor.storage
      guard let range = storages[storage.key] else {
        throw .missing(file: file.path, item: "member data/\(storage.key), which the pickle names")
      }
      guard storage.count <= range.count / storage.type.byteCount else {
        throw .malformedItem(
          file: file.path, item: "data/\(storage.key)", expected: "\(storage.count) elements of \(storage.type.rawValue)",
          found: "\(range.count) bytes")
      }
    }
    self.tensors = tensors
    self.texts = texts
  }

  /// The pickle of a zip archive, and its storages.
  private static func archive(_ file: MappedFile) throws(FileError) -> (PickleValue, [String: Range<Int>]) {
    let members = try ZipDirectory(file).members
    guard let name = members.keys.filter({ $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }).min(by: { $0.count < $1.count }),
      let range = members[name]
    else { throw .missing(file: file.path, item: "member data.pkl: is this a file of torch.save?") }
    let folder = name.dropLast("data.pkl".count) + "data/"
    var storages: [String: Range<Int>] = [:]
    for (path, range) in members where path.hasPrefix(folder) { storages[String(path.dropFirst(folder.count))] = range }
    if let order = members[name.dropLast("data.pkl".count) + "byteorder"],
      file.withBytes(order, { $0.elements(as: UInt8.self) }) == Array("big".utf8)
    {
      throw .malformed(file: file.path, expected: "little-endian numbers", found: "big-endian ones")
    }
    var unpickler = Unpickler(file, range)
    return (try unpickler.value(), storages)
  }

  /// Five pickles (a magic number, a version, the system's sizes, the object, the storages' keys), then each storage's
  /// count and elements, as torch wrote before 1.6.
  private static func legacy(_ file: MappedFile) throws(FileError) -> (PickleValue, [String: Range<Int>]) {
    var unpickler = Unpickler(file, 0..<file.count)
    // The magic number has ten bytes and reads as opaque; version and sizes are not needed.
    for _ in 0..<3 { _ = try unpickler.value() }
    let root = try unpickler.value()
    guard case .list(let keys) = try unpickler.value() else {
      throw .malformed(file: file.path, expected: "a file of torch.save with a list of storages", found: "none")
    }
    var types: [String: ElementType] = [:]
    var (tensors, texts): ([String: PickledTensor], [String: String]) = ([:], [:])
    try collect(root, "", 0, file.path, &tensors, &texts)
    for tensor in tensors.values { types[tensor.storage.key] = tensor.storage.type }
    var cursor = ByteCursor(file, unpickler.offset..<file.count, kind: "a file of torch.save")
    var storages: [String: Range<Int>] = [:]
    for case .text(let key) in keys.values {
      let count = try cursor.count(Int64.self)
      // Storages that nothing refers to would have an unknown width.
      guard let type = types[key] else {
        throw .malformedItem(file: file.path, item: "data/\(key)", expected: "a tensor that uses it", found: "none")
      }
      storages[key] = try cursor.take(count * type.byteCount)
    }
    return (root, storages)
  }

  private static func unwrapped(_ value: PickleValue) -> PickleValue {
    var value = value
    for _ in 0..<deepest {
      guard case .dictionary(let dictionary) = value, let inner = dictionary["state_dict"] else { break }
      value = inner
    }
    return value
  }

  private static func collect(
    _ value: PickleValue, _ name: String, _ depth: Int, _ path: String, _ tensors: inout [String: PickledTensor],
    _ texts: inout [String: String]
  ) throws(FileError) {
    guard depth < deepest else {
      throw .malformed(file: path, expected: "dictionaries at most \(deepest) deep", found: "deeper ones")
    }
    switch value {
    case .tensor(let tensor):
      guard tensors.count < mostTensors else {
        throw .malformed(file: path, expected: "at most \(mostTensors) tensors", found: "more")
      }
      tensors[name] = tensor
    case .text(let text): texts[name] = text
    case .dictionary(let dictionary):
      for (key, value) in dictionary.pairs {
        guard case .text(let key) = key else { continue }
        try collect(value, name.isEmpty ? key : "\(name).\(key)", depth + 1, path, &tensors, &texts)
      }
    default: break
    }
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
    let all = file.elements(range, type.format, count: tensor.storage.count).buffer
    let view = Buffer(uninitialized: count)
    view.withMutableSpan(0..<count) { span in
      var place = [Int](repeating: 0, count: tensor.shape.count)
      for index in 0..<count {
        span[index] = all[tensor.offset + zip(place, tensor.strides).reduce(0) { $0 + $1.0 * $1.1 }]
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
