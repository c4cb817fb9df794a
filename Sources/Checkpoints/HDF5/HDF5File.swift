package import Files
internal import Foundation
package import Kernels

/// An HDF5 file open for reading: groups, attributes and datasets of numbers.
///
/// Stored numbers of any width and byte order are converted by the library.
package struct HDF5File: ~Copyable, Sendable {
  package let path: String
  let handle: HDF5.Handle

  package init(reading path: String) throws(FileError) {
    try FileContent.check(MappedFile.open(path), is: .hdf5, "an HDF5 file")
    guard HDF5.survives(path) else {
      throw .malformed(file: path, expected: "an HDF5 file", found: "damage that the HDF5 library crashes on")
    }
    try self.init(trusting: path)
  }

  /// Opens a file that this process wrote, without looking for what the library crashes on.
  init(trusting path: String) throws(FileError) {
    self.path = path
    do {
      handle = try HDF5.open(path)
    } catch {
      guard !error.reason.contains("file signature not found") else {
        throw .malformed(file: path, expected: "an HDF5 file", found: "other or damaged content")
      }
      throw .cannotRead(file: path, reason: error.reason)
    }
  }

  /// Names of the groups directly inside a group, sorted.
  package func groups(in group: String = "/") throws(FileError) -> [String] {
    try items(of: group).filter { $0.kind == .group }.map(\.name)
  }

  /// Names of the datasets directly inside a group, sorted.
  package func datasets(in group: String = "/") throws(FileError) -> [String] {
    try items(of: group).filter { $0.kind == .dataset }.map(\.name)
  }

  /// The single texts and numbers attached to a group or dataset.
  package func attributes(
    of item: String = "/"
  ) throws(FileError) -> [String: AttributeValue] {
    try reporting(item) { () throws(HDF5.Failure) in
      try HDF5.attributes(of: item, in: handle)
    }
  }

  /// The dataset's extents, or nil if there is none of that name.
  package func shape(of dataset: String) throws(FileError) -> [Int]? {
    try reporting(dataset) { () throws(HDF5.Failure) in
      try HDF5.extent(of: dataset, in: handle)?.shape
    }
  }

  /// All elements as 32-bit floats, from any type of number.
  package func floats(
    _ dataset: String
  ) throws(FileError) -> (shape: [Int], buffer: Buffer) {
    let (shape, count) = try extent(of: dataset, readAs: .float32)
    let buffer = Buffer(uninitialized: count)
    try read(dataset, as: .float32, into: UnsafeMutableRawPointer(buffer.pointer))
    return (shape, buffer)
  }

  /// All elements as doubles, from any type of number.
  package func doubles(
    _ dataset: String
  ) throws(FileError) -> (shape: [Int], values: [Double]) {
    let (shape, count) = try extent(of: dataset, readAs: .float64)
    var values = [Double](repeating: 0, count: count)
    try read(dataset, as: .float64, into: &values)
    return (shape, values)
  }

  /// All elements of a dataset of integers; those beyond 64 bits are clipped.
  package func integers(
    _ dataset: String
  ) throws(FileError) -> (shape: [Int], values: [Int]) {
    let (shape, count) = try extent(of: dataset, readAs: .int64)
    var values = [Int](repeating: 0, count: count)
    try read(dataset, as: .int64, into: &values)
    return (shape, values)
  }

  /// All elements of a dataset of integers; those beyond 8 bits are clipped.
  package func bytes(
    _ dataset: String
  ) throws(FileError) -> (shape: [Int], values: [UInt8]) {
    let (shape, count) = try extent(of: dataset, readAs: .uint8)
    var values = [UInt8](repeating: 0, count: count)
    try read(dataset, as: .uint8, into: &values)
    return (shape, values)
  }

  /// The element that holds the stored numbers exactly.
  func element(of dataset: String) throws(FileError) -> HDF5.Element {
    try extent(of: dataset).element
  }

  private func read(
    _ dataset: String, as element: HDF5.Element, into memory: UnsafeMutableRawPointer
  ) throws(FileError) {
    try reporting(dataset) { () throws(HDF5.Failure) in
      try HDF5.read(dataset, in: handle, as: element, into: memory)
    }
  }

  /// Extents and number of elements, after checking that they are such numbers and fit into the
  /// memory.
  private func extent(
    of dataset: String, readAs element: HDF5.Element
  ) throws(FileError) -> (shape: [Int], count: Int) {
    let (shape, stored, storedBytes) = try extent(of: dataset)
    if stored.isFloat && !element.isFloat {
      throw .malformedItem(
        file: path, item: dataset, expected: "integers", found: stored.rawValue)
    }
    var bytes = element.byteCount
    // Extents of zero last: products of the others must be numbers, too.
    for extent in shape.sorted(by: >) {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
      bytes = overflow ? .max : product
      if overflow { break }
    }
    guard bytes <= MemoryLimit.current.bytes else {
      throw .malformedItem(
        file: path, item: dataset, expected: "an array that fits into the machine's memory",
        found: "extents of \(shape)")
    }
    // Compression seldom gets beyond this: an array that was declared, but never written.
    guard bytes / 2000 <= storedBytes + 4096 else {
      throw .malformedItem(
        file: path, item: dataset, expected: "numbers for its extents of \(shape)",
        found: "\(storedBytes) bytes")
    }
    return (shape, bytes / element.byteCount)
  }

  func extent(
    of dataset: String
  ) throws(FileError) -> (shape: [Int], element: HDF5.Element, storedBytes: Int) {
    let extent = try reporting(dataset) { () throws(HDF5.Failure) in
      try HDF5.extent(of: dataset, in: handle)
    }
    guard let extent else { throw .missing(file: path, item: "dataset \(dataset)") }
    guard let element = extent.element else {
      throw .malformedItem(file: path, item: dataset, expected: "numbers", found: "other values")
    }
    return (extent.shape, element, extent.storedBytes)
  }

  private func items(
    of group: String
  ) throws(FileError) -> [(name: String, kind: HDF5.Item)] {
    let items = try reporting(group) { () throws(HDF5.Failure) in
      try HDF5.items(of: group, in: handle)
    }
    guard let items else { throw .missing(file: path, item: "group \(group)") }
    return items
  }

  /// Says of which file and item the library complains.
  func reporting<Result>(
    _ item: String, _ body: () throws(HDF5.Failure) -> Result
  ) throws(FileError) -> Result {
    do throws(HDF5.Failure) {
      return try body()
    } catch {
      throw .malformedItem(
        file: path, item: item, expected: "what HDF5 can read", found: error.reason)
    }
  }
}
