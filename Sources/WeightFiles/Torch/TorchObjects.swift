internal import Files

/// What the few functions and classes that torch's files name would make.
struct TorchObjects {
  private let path: String

  init(_ path: String) { self.path = path }

  private func malformed(_ expected: String, _ found: String) -> FileError {
    .malformed(file: path, expected: expected, found: found)
  }

  /// What a call would return.
  ///
  /// - Throws: ``FileError`` that names what is called, unless it is one of torch's functions for tensors.
  func made(by callee: PickleValue, _ arguments: PickleValue) throws(FileError) -> PickleValue {
    guard case .global(let module, let name) = callee, case .tuple(let arguments, _) = arguments else {
      throw malformed("tensors alone", "a call of something without a name")
    }
    switch "\(module) \(name)" {
    case "collections OrderedDict", "collections defaultdict": return .dictionary(PickledDictionary())
    case "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor": return try tensor(arguments)
    case "torch._utils _rebuild_parameter", "torch.nn.parameter Parameter":
      guard case .tensor? = arguments.first else { throw malformed("a parameter of a tensor", "something else") }
      return arguments[0]
    case "numpy.core.multiarray scalar", "numpy._core.multiarray scalar", "numpy dtype", "_codecs encode",
      "torch Size", "torch device":
      // Notes of a trainer.
      return .opaque
    default:
      throw malformed(
        "tensors alone: nothing in a pickle is run", "a call of \(module).\(name); ask for the model as .safetensors")
    }
  }

  private static let storageTypes: [String: ElementType] = [
    "FloatStorage": .float32, "HalfStorage": .float16, "BFloat16Storage": .brainFloat16, "DoubleStorage": .float64,
    "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8, "ByteStorage": .uint8,
    "BoolStorage": .boolean, "Float8_e4m3fnStorage": .float8E4M3, "Float8_e5m2Storage": .float8E5M2,
  ]

  /// The storage of a persistent identifier: `("storage", type, key, device, count)`.
  func storage(_ identifier: PickleValue) throws(FileError) -> PickleValue {
    guard case .tuple(let parts, _) = identifier, parts.count >= 5, case .text("storage") = parts[0],
      case .global(_, let typeName) = parts[1], case .text(let key) = parts[2], case .integer(let count) = parts[4],
      count >= 0
    else { throw malformed("storages with a type, a key and a count", "others") }
    // Before 0.4 a storage could be a part of another.
    if parts.count > 5 {
      guard case .none = parts[5] else { throw malformed("whole storages", "a view of one, data/\(key)") }
    }
    guard let type = Self.storageTypes[typeName] else {
      throw malformed("storages of \(Self.storageTypes.keys.sorted().joined(separator: ", "))", typeName)
    }
    return .storage(PickledStorage(key: key, type: type, count: count))
  }

  private func tensor(_ arguments: [PickleValue]) throws(FileError) -> PickleValue {
    guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
      let shape = naturals(arguments[2]), let strides = naturals(arguments[3]), shape.count == strides.count,
      offset >= 0
    else { throw malformed("tensors with a storage, an offset, extents and strides", "others") }
    if arguments.count > 6, case .dictionary(let marks) = arguments[6], !marks.pairs.isEmpty {
      throw malformed(
        "tensors without marks", "one that is negated or conjugated where it is read, in data/\(storage.key)")
    }
    let tensor = PickledTensor(storage: storage, offset: offset, shape: shape, strides: strides)
    guard let end = tensor.end, end <= storage.count else {
      throw malformed(
        "tensors inside their storages", "\(shape) from \(offset) on in data/\(storage.key) of \(storage.count)")
    }
    return .tensor(tensor)
  }

  private func naturals(_ value: PickleValue) -> [Int]? {
    guard case .tuple(let elements, _) = value else { return nil }
    let numbers = elements.compactMap { element -> Int? in
      if case .integer(let number) = element, number >= 0 { number } else { nil }
    }
    return numbers.count == elements.count ? numbers : nil
  }
}
