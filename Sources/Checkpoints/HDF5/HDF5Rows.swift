internal import CHDF5
package import Files
internal import Foundation
package import Kernels

extension HDF5 {
  /// Reads rows of a dataset, the outermost axis, converted to the element.
  ///
  /// - Precondition: memory for as many elements.
  static func readRows(
    _ path: String, _ rows: Range<Int>, in file: borrowing Handle, as element: Element,
    into memory: UnsafeMutableRawPointer
  ) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      let dataset = try dataset(path, in: id)
      let space = try Handle(H5Dget_space(dataset.id), "the extents cannot be read")
      let inMemory = try selectRows(rows, of: space)
      try check(
        H5Dread(dataset.id, element.identifier, inMemory.id, space.id, hid_t(H5P_DEFAULT), memory),
        "its rows \(rows) cannot be read")
    }
  }

  /// Writes rows of a dataset that ``createRows(_:in:shape:element:)`` made.
  static func writeRows(
    _ path: String, _ rows: Range<Int>, in file: borrowing Handle, element: Element, from bytes: RawSpan
  ) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      let dataset = try Handle(H5Dopen2(id, path, hid_t(H5P_DEFAULT)), "the dataset cannot be opened")
      let space = try Handle(H5Dget_space(dataset.id), "the extents cannot be read")
      let inMemory = try selectRows(rows, of: space)
      let status = bytes.withUnsafeBytes {
        H5Dwrite(dataset.id, element.identifier, inMemory.id, space.id, hid_t(H5P_DEFAULT), $0.baseAddress)
      }
      try check(status, "rows \(rows) cannot be written")
      try dataset.finish()
    }
  }

  /// A dataset in chunks of a row each, with a Fletcher-32 check, to be written row by row.
  static func createRows(
    _ path: String, in file: borrowing Handle, shape: [Int], element: Element
  ) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      let space = try Handle(H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil), "no extents")
      let properties = try Handle(H5Pcreate(sd_h5p_dataset_create()), "no properties")
      try check(H5Pset_obj_track_times(properties.id, false), "no properties")
      try check(
        H5Pset_chunk(properties.id, Int32(shape.count), [1] + shape.dropFirst().map { hsize_t($0) }), "no chunks")
      try check(H5Pset_fletcher32(properties.id), "no Fletcher-32 filter")
      try Handle(
        H5Dcreate2(
          id, path, element.identifier, space.id, hid_t(H5P_DEFAULT), properties.id, hid_t(H5P_DEFAULT)),
        "the dataset cannot be created"
      ).finish()
    }
  }

  /// Selects rows of the extents in a file; returns extents for as many in memory.
  private static func selectRows(_ rows: Range<Int>, of space: borrowing Handle) throws(Failure) -> Handle {
    let rank = Int(H5Sget_simple_extent_ndims(space.id))
    var extents = [hsize_t](repeating: 0, count: max(0, rank))
    guard rank > 0, H5Sget_simple_extent_dims(space.id, &extents, nil) == Int32(rank), rows.upperBound <= extents[0]
    else { throw Failure(plainly: "no rows \(rows)") }
    extents[0] = hsize_t(rows.count)
    var start = [hsize_t](repeating: 0, count: rank)
    start[0] = hsize_t(rows.lowerBound)
    try check(H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start, nil, extents, nil), "no such rows")
    return try Handle(H5Screate_simple(Int32(rank), extents, nil), "no extents")
  }
}

extension HDF5File {
  /// Rows of a dataset, its outermost axis, as 32-bit floats.
  ///
  /// - Parameters:
  ///   - rowCount: elements of a row, as the dataset's extents have it.
  /// - Throws: if there are no such rows, or their bytes are damaged.
  package func floatRows(
    _ dataset: String, _ rows: Range<Int>, rowCount: Int
  ) throws(FileError) -> Buffer {
    let (shape, _, storedBytes) = try extent(of: dataset)
    // Extents may say anything until the data is read.
    let rowBytes = shape.dropFirst().reduce(4.0) { $0 * Double($1) }
    guard !rows.isEmpty, rowBytes == 4 * Double(rowCount), rows.upperBound <= shape[0] else {
      throw .malformedItem(
        file: path, item: dataset, expected: "rows of \(rowCount) numbers", found: "extents of \(shape)")
    }
    guard rowBytes * Double(shape[0]) / 2000 <= Double(storedBytes) + 4096,
      rowBytes * Double(rows.count) <= Double(MemoryLimit.current.bytes)
    else {
      throw .malformedItem(
        file: path, item: dataset, expected: "numbers for its extents of \(shape)", found: "\(storedBytes) bytes")
    }
    let buffer = Buffer(uninitialized: rows.count * rowCount)
    try reporting(dataset) { () throws(HDF5.Failure) in
      try HDF5.readRows(
        dataset, rows, in: handle, as: .float32, into: UnsafeMutableRawPointer(buffer.pointer))
    }
    return buffer
  }
}
