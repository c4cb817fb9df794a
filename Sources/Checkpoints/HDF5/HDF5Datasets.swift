internal import CHDF5

extension HDF5 {
  /// The element types that leave this layer.
  enum Element: String, CaseIterable, Sendable {
    case float32, float64, int64, uint8

    var byteCount: Int {
      switch self {
      case .float32: 4
      case .float64, .int64: 8
      case .uint8: 1
      }
    }

    var isFloat: Bool { self == .float32 || self == .float64 }

    var identifier: hid_t {
      switch self {
      case .float32: sd_h5t_float()
      case .float64: sd_h5t_double()
      case .int64: sd_h5t_int64()
      case .uint8: sd_h5t_uint8()
      }
    }
  }

  struct Extent {
    let shape: [Int]
    /// The element that holds the stored type exactly, nil for text, compounds and the like.
    let element: Element?
    /// Bytes in the file, compressed or not.
    let storedBytes: Int
  }

  private static func refuseLinks(_ path: String, in file: hid_t) throws(Failure) {
    guard sd_h5_is_external(file, path) == 0 else {
      throw Failure(plainly: "a link into another file, which is not followed: h5copy makes one file")
    }
  }

  /// - Throws: if there is no such dataset, or if its numbers lie in another file.
  static func dataset(_ path: String, in file: hid_t) throws(Failure) -> Handle {
    try refuseLinks(path, in: file)
    let dataset = try Handle(H5Dopen2(file, path, hid_t(H5P_DEFAULT)), "cannot be opened")
    let properties = try Handle(H5Dget_create_plist(dataset.id), "the layout cannot be read")
    guard H5Pget_layout(properties.id) != H5D_VIRTUAL, H5Pget_external_count(properties.id) == 0 else {
      throw Failure(plainly: "numbers in another file")
    }
    return dataset
  }

  /// What a dataset holds; nil if there is no such dataset.
  static func extent(of path: String, in file: borrowing Handle) throws(Failure) -> Extent? {
    let id = file.id
    return try locked { () throws(Failure) -> Extent? in
      try refuseLinks(path, in: id)
      guard H5Lexists(id, path, hid_t(H5P_DEFAULT)) > 0 || path == "/" else { return nil }
      let dataset = try dataset(path, in: id)
      let space = try Handle(H5Dget_space(dataset.id), "the extents cannot be read")
      let type = try Handle(H5Dget_type(dataset.id), "the type cannot be read")
      let rank = Int(H5Sget_simple_extent_ndims(space.id))
      guard rank >= 0, H5Sget_simple_extent_type(space.id) != H5S_NULL else {
        throw Failure(plainly: "no array")
      }
      var shape = [hsize_t](repeating: 0, count: rank)
      guard Int(H5Sget_simple_extent_dims(space.id, &shape, nil)) == rank,
        shape.allSatisfy({ $0 <= Int.max })
      else { throw Failure(plainly: "impossible extents") }
      return Extent(
        shape: shape.map { Int($0) }, element: element(of: type),
        storedBytes: Int(clamping: H5Dget_storage_size(dataset.id)))
    }
  }

  private static func element(of type: borrowing Handle) -> Element? {
    let size = H5Tget_size(type.id)
    switch H5Tget_class(type.id) {
    case H5T_FLOAT: return size <= 4 ? .float32 : .float64
    case H5T_INTEGER: return size == 1 && H5Tget_sign(type.id) == H5T_SGN_NONE ? .uint8 : .int64
    default: return nil
    }
  }

  /// Reads a whole dataset, converted to the element.
  ///
  /// - Precondition: memory for as many elements as its ``extent(of:in:)`` has.
  static func read(
    _ path: String, in file: borrowing Handle, as element: Element,
    into memory: UnsafeMutableRawPointer
  ) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      let dataset = try dataset(path, in: id)
      try check(
        H5Dread(
          dataset.id, element.identifier, hid_t(H5S_ALL), hid_t(H5S_ALL), hid_t(H5P_DEFAULT),
          memory),
        "its bytes cannot be read")
    }
  }

  /// Writes a dataset in chunks with a Fletcher-32 check each; nothing in it depends on the time.
  static func write(
    _ path: String, in file: borrowing Handle, shape: [Int], element: Element,
    from bytes: RawSpan
  ) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      let extents = shape.map { hsize_t($0) }
      let space = try Handle(
        shape.isEmpty
          ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), extents, nil),
        "no extents")
      let properties = try Handle(H5Pcreate(sd_h5p_dataset_create()), "no properties")
      try check(H5Pset_obj_track_times(properties.id, false), "no properties")
      if let chunk = chunk(of: shape, element) {
        try check(H5Pset_chunk(properties.id, Int32(chunk.count), chunk), "no chunks")
        try check(H5Pset_fletcher32(properties.id), "no Fletcher-32 filter")
      }
      let dataset = try Handle(
        H5Dcreate2(
          id, path, element.identifier, space.id, hid_t(H5P_DEFAULT), properties.id,
          hid_t(H5P_DEFAULT)),
        "the dataset cannot be created")
      if bytes.byteCount > 0 {
        let status = bytes.withUnsafeBytes { memory in
          H5Dwrite(
            dataset.id, element.identifier, hid_t(H5S_ALL), hid_t(H5S_ALL), hid_t(H5P_DEFAULT),
            memory.baseAddress)
        }
        try check(status, "the dataset cannot be written")
      }
      try dataset.finish()
    }
  }

  /// Extents of a chunk of at most 4 MiB, rows kept together; nil where HDF5 knows no chunks.
  private static func chunk(of shape: [Int], _ element: Element) -> [hsize_t]? {
    guard !shape.isEmpty, !shape.contains(0) else { return nil }
    var chunk = shape
    for axis in chunk.indices {
      while chunk.reduce(element.byteCount, *) > 4 << 20, chunk[axis] > 1 {
        chunk[axis] = (chunk[axis] + 1) / 2
      }
    }
    return chunk.map { hsize_t($0) }
  }
}
