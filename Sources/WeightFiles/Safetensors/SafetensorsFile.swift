package import Files
package import Kernels

/// Named tensors of one `.safetensors` file, read from the mapped file when asked for.
package struct SafetensorsFile: WeightSource {
  private let file: MappedFile
  private let header: SafetensorsHeader

  /// Opens the file and checks its whole header.
  package init(path: String) throws(FileError) {
    file = try MappedFile.open(path)
    header = try SafetensorsHeader(file)
  }

  package var path: String { file.path }
  package var origin: String { file.path }
  package var files: [String] { [file.path] }

  /// The free text that writers leave, such as `format: pt`.
  package var metadata: [String: String] { header.metadata }

  package var names: [String] { header.entries.keys.sorted() }

  package func shape(of name: String) -> [Int]? { header.entries[name]?.shape }

  package func elementType(of name: String) -> ElementType? { header.entries[name]?.elementType }

  package func typeName(of name: String) -> String? { elementType(of: name)?.rawValue }

  package func holdsFloats(_ name: String) -> Bool { elementType(of: name)?.isFloat ?? false }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    let entry = try entry(name)
    return file.elements(entry.range, entry.elementType.format, count: entry.count)
  }

  /// The tensor's elements as doubles; integers beyond 2⁵³ are rounded.
  package func doubles(_ name: String) throws(FileError) -> [Double] {
    let entry = try entry(name)
    guard entry.elementType != .float64 else {
      return file.withBytes(entry.range) { bytes in bytes.elements(as: Double.self) }
    }
    return entry.elementType.isFloat
      ? try floats(name).elements.map { Double($0) } : try integers(name).map { Double($0) }
  }

  /// The elements of a tensor of integers or truth values.
  package func integers(_ name: String) throws(FileError) -> [Int] {
    let entry = try entry(name)
    return try file.withBytes(entry.range) { (bytes) throws(FileError) -> [Int] in
      switch entry.elementType {
      case .int64: return bytes.elements(as: Int.self)
      case .int32: return bytes.elements(as: Int32.self).map { Int($0) }
      case .int16: return bytes.elements(as: Int16.self).map { Int($0) }
      case .int8: return bytes.elements(as: Int8.self).map { Int($0) }
      case .uint64: return bytes.elements(as: UInt64.self).map { Int(clamping: $0) }
      case .uint32: return bytes.elements(as: UInt32.self).map { Int($0) }
      case .uint16: return bytes.elements(as: UInt16.self).map { Int($0) }
      case .uint8: return bytes.elements(as: UInt8.self).map { Int($0) }
      case .boolean: return bytes.elements(as: UInt8.self).map { $0 == 0 ? 0 : 1 }
      case .float64, .float32, .float16, .brainFloat16, .float8E4M3, .float8E5M2:
        throw .malformedItem(
          file: path, item: name, expected: "integers", found: entry.elementType.rawValue)
      }
    }
  }

  /// The bytes of a tensor as they are stored, such as text in one of `U8`.
  package func bytes(_ name: String) throws(FileError) -> [UInt8] {
    file.withBytes(try entry(name).range) { $0.elements(as: UInt8.self) }
  }

  private func entry(_ name: String) throws(FileError) -> SafetensorsHeader.Entry {
    guard let entry = header.entries[name] else {
      throw .missing(file: path, item: "tensor \(name)")
    }
    return entry
  }
}

extension MappedFile {
  /// Numbers of the file, widened wherever they are used; after the use the file keeps no memory for them.
  ///
  /// - Precondition: `range` holds `count` of them.
  func elements(_ range: Range<Int>, _ format: RawElements.Format, count: Int) -> WeightElements {
    WeightElements(
      count: count,
      making: { part, y, offset in
        self.withBytes(range) { bytes in
          part.forEachRow { elements, row in RawElements.decode(bytes, format, elements, into: y, at: offset + row) }
        }
      }, finally: { self.forget(range) })
  }
}
