internal import Files
package import Kernels

/// What a checkpoint keeps: the state of a run, without knowing what a run is.
package struct CheckpointContents: Sendable {
  /// Small facts by name; names that start with `checkpoint.` belong to the format.
  package var attributes: [String: AttributeValue]
  /// Arrays by path, such as `parameters/conv_in.weight`: every `/` opens a group, dots open none.
  package var arrays: [String: CheckpointArray]

  package init(
    attributes: [String: AttributeValue] = [:], arrays: [String: CheckpointArray] = [:]
  ) {
    self.attributes = attributes
    self.arrays = arrays
  }

  /// Paths of all arrays, sorted by their UTF-8 bytes: the order in the file.
  var orderedNames: [String] {
    arrays.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}

/// An array of numbers and its extents, row-major.
package struct CheckpointArray: Sendable {
  package enum Values: Sendable {
    case floats(Buffer)
    case doubles([Double])
    /// Stored as 64-bit integers.
    case integers([Int])
    case bytes([UInt8])
    /// Bytes where a kernel keeps them; read back from a file as ``bytes(_:)``.
    case packed(PackedBytes)
  }

  package let shape: [Int]
  package let values: Values

  /// - Precondition: as many values as the shape has elements.
  package init(shape: [Int], _ values: Values) {
    self.shape = shape
    self.values = values
    precondition(
      shape.allSatisfy { $0 >= 0 } && shape.reduce(1, *) == count,
      "checkpoint: an array of \(shape) with \(count) values")
  }

  package init(_ buffer: Buffer, shape: [Int]) { self.init(shape: shape, .floats(buffer)) }

  package var count: Int {
    switch values {
    case .floats(let buffer): buffer.count
    case .doubles(let values): values.count
    case .integers(let values): values.count
    case .bytes(let values): values.count
    case .packed(let values): values.count
    }
  }

  package var floats: Buffer? {
    if case .floats(let buffer) = values { buffer } else { nil }
  }

  package var doubles: [Double]? {
    if case .doubles(let values) = values { values } else { nil }
  }

  package var integers: [Int]? {
    if case .integers(let values) = values { values } else { nil }
  }

  package var bytes: [UInt8]? {
    switch values {
    case .bytes(let values): values
    case .packed(let values): values.withBytes { bytes in bytes.withUnsafeBytes(Array.init) }
    default: nil
    }
  }

  package var packed: PackedBytes? {
    if case .packed(let values) = values { values } else { bytes.map { PackedBytes($0) } }
  }

  var element: HDF5.Element {
    switch values {
    case .floats: .float32
    case .doubles: .float64
    case .integers: .int64
    case .bytes, .packed: .uint8
    }
  }

  /// Lends the values as they are in memory, little-endian.
  func withRawSpan<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch values {
    case .floats(let buffer):
      try buffer.withSpan { (span) throws(Failure) -> Result in try body(span.bytes) }
    case .doubles(let values): try body(values.span.bytes)
    case .integers(let values): try body(values.span.bytes)
    case .bytes(let values): try body(values.span.bytes)
    case .packed(let values): try values.withBytes(body)
    }
  }

  var checksum: CRC32 {
    defer { letGo() }
    return withRawSpan { CRC32.of($0) }
  }

  /// See ``Buffer/letGo()``.
  func letGo() {
    switch values {
    case .floats(let buffer): buffer.letGo()
    case .packed(let bytes): bytes.words.letGo()
    case .doubles, .integers, .bytes: break
    }
  }

  /// The same in a file, where it is large.
  func kept(in scratch: ScratchFile) throws(FileError) -> CheckpointArray {
    switch values {
    case .floats(let buffer): CheckpointArray(try scratch.keep(buffer), shape: shape)
    case .bytes(let bytes):
      CheckpointArray(
        shape: shape, .packed(PackedBytes(words: try scratch.keep(PackedBytes(bytes).words), count: bytes.count)))
    case .doubles, .integers, .packed: self
    }
  }
}

extension CheckpointContents {
  /// The checksums of all arrays, computed on all cores, in the order of ``orderedNames``.
  func checksums() -> [CRC32] {
    let arrays = orderedNames.map { self.arrays[$0]! }
    return Parallel.map(arrays.count) { arrays[$0].checksum }
  }

  /// One line an array, and the checksum of all of them.
  ///
  ///     parameters/conv_in.weight float32 [32, 4, 3, 3] 1c291ca3
  func manifestChecksum(_ checksums: [CRC32]) -> CRC32 {
    let lines = zip(orderedNames, checksums).map { name, checksum in
      "\(name) \(arrays[name]!.element.rawValue) \(arrays[name]!.shape) \(checksum.text)\n"
    }
    return CRC32.of(Array(lines.joined().utf8).span.bytes)
  }
}
