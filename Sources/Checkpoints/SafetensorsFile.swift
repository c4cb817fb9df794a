package import Kernels

/// Named tensors of one `.safetensors` file, read from the mapped file when asked for.
package struct SafetensorsFile: Sendable {
  private let file: MappedFile
  private let header: SafetensorsHeader

  /// Opens the file and checks its whole header.
  package init(path: String) throws(CheckpointError) {
    do {
      file = try MappedFile(path)
    } catch {
      throw error.asCheckpointError
    }
    header = try SafetensorsHeader(file)
  }

  package var path: String { file.path }

  /// The free text that writers leave, such as `format: pt`.
  package var metadata: [String: String] { header.metadata }

  /// Names of all tensors, sorted.
  package var names: [String] { header.entries.keys.sorted() }

  /// The tensor's extents, or nil if there is none of that name.
  package func shape(of name: String) -> [Int]? { header.entries[name]?.shape }

  package func elementType(of name: String) -> ElementType? { header.entries[name]?.elementType }

  /// The tensor's elements, widened or (from double) rounded to 32-bit floats.
  ///
  /// - Throws: if there is none of that name, or if it holds integers.
  package func floats(_ name: String) throws(CheckpointError) -> Buffer { try elements(name).buffer }

  /// The same, widened wherever they are used; after the use the file keeps no memory for them.
  package func elements(_ name: String) throws(CheckpointError) -> WeightElements {
    let (entry, format) = (try entry(name), try format(name))
    return WeightElements(
      count: entry.count,
      making: { [file] part, y, offset in
        file.withBytes(entry.range) { bytes in
          part.forEachRow { range, row in RawElements.decode(bytes, format, range, into: y, at: offset + row) }
        }
      }, finally: { [file] in file.forget(entry.range) })
  }

  private func format(_ name: String) throws(CheckpointError) -> RawElements.Format {
    let type = try entry(name).elementType
    switch type {
    case .float32: return .single
    case .float16: return .half
    case .brainFloat16: return .brainFloat
    case .float64: return .double
    case .int64, .int32, .uint8, .int8, .boolean:
      throw .malformedItem(file: path, item: name, expected: "floats", found: type.rawValue)
    }
  }

  /// The tensor's elements as doubles; integers beyond 2⁵³ are rounded.
  package func doubles(_ name: String) throws(CheckpointError) -> [Double] {
    let entry = try entry(name)
    switch entry.elementType {
    case .float64:
      return file.withBytes(entry.range) { bytes in bytes.elements(as: Double.self) }
    case .float32, .float16, .brainFloat16: return try floats(name).elements.map { Double($0) }
    case .int64, .int32, .uint8, .int8, .boolean: return try integers(name).map { Double($0) }
    }
  }

  /// The elements of a tensor of integers or truth values.
  package func integers(_ name: String) throws(CheckpointError) -> [Int] {
    let entry = try entry(name)
    return try file.withBytes(entry.range) { (bytes) throws(CheckpointError) -> [Int] in
      switch entry.elementType {
      case .int64: return bytes.elements(as: Int.self)
      case .int32: return bytes.elements(as: Int32.self).map { Int($0) }
      case .uint8: return bytes.elements(as: UInt8.self).map { Int($0) }
      case .int8: return bytes.elements(as: Int8.self).map { Int($0) }
      case .boolean: return bytes.elements(as: UInt8.self).map { $0 == 0 ? 0 : 1 }
      case .float64, .float32, .float16, .brainFloat16:
        throw .malformedItem(
          file: path, item: name, expected: "integers", found: entry.elementType.rawValue)
      }
    }
  }

  private func entry(_ name: String) throws(CheckpointError) -> SafetensorsHeader.Entry {
    guard let entry = header.entries[name] else {
      throw .missing(file: path, item: "tensor \(name)")
    }
    return entry
  }
}

extension MappedFile.Failure {
  var asCheckpointError: CheckpointError {
    switch self {
    case .cannotOpen(let path, let reason): .cannotRead(file: path, reason: reason)
    case .notAFile(let path): .cannotRead(file: path, reason: "not a regular file")
    }
  }
}
