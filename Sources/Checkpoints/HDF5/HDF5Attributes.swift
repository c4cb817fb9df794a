internal import CHDF5

/// A small fact beside the arrays.
package enum AttributeValue: Equatable, Sendable {
  case string(String)
  case integer(Int)
  case double(Double)
}

extension HDF5 {
  /// The attributes of a group or dataset that are single texts or numbers; others are left out.
  static func attributes(
    of path: String, in file: borrowing Handle
  ) throws(Failure) -> [String: AttributeValue] {
    let id = file.id
    return try locked { () throws(Failure) -> [String: AttributeValue] in
      let object = try Handle(H5Oopen(id, path, hid_t(H5P_DEFAULT)), "no such object")
      var values: [String: AttributeValue] = [:]
      let count = H5Aget_num_attrs(object.id)
      for index in 0..<max(0, count) {
        let attribute = try Handle(
          H5Aopen_by_idx(
            object.id, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(index), hid_t(H5P_DEFAULT),
            hid_t(H5P_DEFAULT)),
          "an attribute cannot be opened")
        let name = try text { buffer, size in H5Aget_name(attribute.id, size, buffer) }
        values[name] = try value(of: attribute)
      }
      return values
    }
  }

  private static func value(of attribute: borrowing Handle) throws(Failure) -> AttributeValue? {
    let type = try Handle(H5Aget_type(attribute.id), "an attribute's type cannot be read")
    let space = try Handle(H5Aget_space(attribute.id), "an attribute's extents cannot be read")
    guard H5Sget_simple_extent_npoints(space.id) == 1 else { return nil }
    let failure = "an attribute cannot be read"
    switch H5Tget_class(type.id) {
    case H5T_INTEGER:
      var value: Int64 = 0
      try check(H5Aread(attribute.id, sd_h5t_int64(), &value), failure)
      return .integer(Int(value))
    case H5T_FLOAT:
      var value: Double = 0
      try check(H5Aread(attribute.id, sd_h5t_double(), &value), failure)
      return .double(value)
    case H5T_STRING where H5Tis_variable_str(type.id) > 0:
      var characters: UnsafeMutablePointer<CChar>?
      try check(H5Aread(attribute.id, type.id, &characters), failure)
      defer { H5Dvlen_reclaim(type.id, space.id, hid_t(H5P_DEFAULT), &characters) }
      return .string(characters.map { String(cString: $0) } ?? "")
    case H5T_STRING:
      var characters = [UInt8](repeating: 0, count: H5Tget_size(type.id))
      try check(H5Aread(attribute.id, type.id, &characters), failure)
      return .string(String(decoding: characters.prefix { $0 != 0 }, as: UTF8.self))
    default: return nil
    }
  }

  /// Adds an attribute to a group or dataset; text is stored as UTF-8 of variable length, because
  /// HDF5 limits other attributes to 64 KiB.
  static func setAttribute(
    _ name: String, _ value: AttributeValue, of path: String, in file: borrowing Handle
  ) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      let object = try Handle(H5Oopen(id, path, hid_t(H5P_DEFAULT)), "no such object")
      let space = try Handle(H5Screate(H5S_SCALAR), "no extents")
      let type = try storedType(of: value)
      let attribute = try Handle(
        H5Acreate2(
          object.id, name, type.id, space.id, hid_t(H5P_DEFAULT), hid_t(H5P_DEFAULT)),
        "the attribute cannot be created")
      let status =
        switch value {
        case .string(let text):
          text.withCString { characters in
            withUnsafePointer(to: characters) { H5Awrite(attribute.id, type.id, $0) }
          }
        case .integer(let number):
          withUnsafePointer(to: Int64(number)) { H5Awrite(attribute.id, type.id, $0) }
        case .double(let number):
          withUnsafePointer(to: number) { H5Awrite(attribute.id, type.id, $0) }
        }
      try check(status, "the attribute cannot be written")
    }
  }

  private static func storedType(of value: AttributeValue) throws(Failure) -> Handle {
    switch value {
    case .string:
      let type = try Handle(H5Tcopy(sd_h5t_c_s1()), "no type")
      // -1 is the header's H5T_VARIABLE, whose cast Swift does not import.
      try check(H5Tset_size(type.id, -1), "no type")
      try check(H5Tset_cset(type.id, H5T_CSET_UTF8), "no type")
      return type
    case .integer: return try Handle(H5Tcopy(sd_h5t_int64()), "no type")
    case .double: return try Handle(H5Tcopy(sd_h5t_double()), "no type")
    }
  }
}
