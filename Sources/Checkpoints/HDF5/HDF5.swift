internal import CHDF5
internal import Foundation

/// The HDF5 C library; this folder alone calls it.
///
/// Not every build of it is safe for threads, so every call happens under one lock; it would print
/// its own errors and write at exit, so both are turned off.
enum HDF5 {
  /// Why the library refused.
  struct Failure: Error {
    let reason: String

    /// - Parameter action: what went wrong; what the library or the system says of it is added.
    init(_ action: String) {
      let system = errno
      var text = [CChar](repeating: 0, count: 256)
      sd_h5_reason(&text)
      let own = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if ![EFBIG, ENOSPC, EIO, EDQUOT, EROFS].contains(system), !own.isEmpty {
        reason = "\(action): HDF5 says '\(own)'" + Self.advice(own)
      } else {
        reason = system == 0 ? action : String(cString: strerror(system))
      }
    }

    /// What to do about failures of sound files.
    private static func advice(_ text: String) -> String {
      if text.contains("unable to lock file") { return "; another program has the file open: close it there" }
      if text.contains("is already open for write") || text.contains("consistency flags") {
        return "; a program that wrote it did not close it: h5clear -s FILE repairs that"
      }
      if text.contains("filter") { return "; h5repack -f NONE IN OUT writes the file without that compression" }
      return ""
    }

    init(plainly reason: String) { self.reason = reason }
  }

  private static let lock = NSRecursiveLock()
  private static let prepared: Void = {
    H5dont_atexit()
    H5open()
    // Links into other files lead nowhere.
    H5Lunregister(H5L_TYPE_EXTERNAL)
  }()

  static func locked<Result: ~Copyable, Thrown: Error>(
    _ body: () throws(Thrown) -> Result
  ) throws(Thrown) -> Result {
    lock.lock()
    defer { lock.unlock() }
    _ = prepared
    // Some builds of the library keep this for every thread.
    sd_h5_silence()
    errno = 0
    return try body()
  }

  /// Owns one identifier of the library and closes it, whatever it stands for.
  struct Handle: ~Copyable {
    let id: hid_t

    init(_ id: hid_t, _ action: String) throws(Failure) {
      guard id >= 0 else { throw Failure(action) }
      self.id = id
    }

    deinit { _ = HDF5.locked { H5Idec_ref(id) } }

    /// Closes what was written and says whether all of it reached the system: the library keeps bytes back until then.
    consuming func finish() throws(Failure) {
      let closed = HDF5.locked { H5Idec_ref(id) >= 0 }
      discard self
      guard closed else { throw Failure("it cannot be closed") }
    }

    /// Closes a file and says whether all of it reached the system.
    consuming func finishFile() throws(Failure) {
      let isWritten = HDF5.locked { H5Fflush(id, H5F_SCOPE_GLOBAL) >= 0 }
      let isClosed = HDF5.locked { H5Fclose(id) >= 0 }
      discard self
      guard isWritten && isClosed else { throw Failure("the file cannot be closed") }
    }
  }

  enum Item { case group, dataset, other }

  static func check(_ status: herr_t, _ action: String) throws(Failure) {
    if status < 0 { throw Failure(action) }
  }

  // MARK: Files and groups

  /// Whether the library can go through a file without crashing or going in circles.
  static func survives(_ path: String) -> Bool { locked { sd_h5_survives(path) != 0 } }

  static func open(_ path: String) throws(Failure) -> Handle {
    try locked { () throws(Failure) -> Handle in
      try Handle(H5Fopen(path, sd_h5f_acc_rdonly(), hid_t(H5P_DEFAULT)), "not an HDF5 file")
    }
  }

  /// Creates a file behind `userBlock` bytes that HDF5 leaves to the program.
  static func create(_ path: String, userBlock: Int) throws(Failure) -> Handle {
    try locked { () throws(Failure) -> Handle in
      let properties = try Handle(H5Pcreate(sd_h5p_file_create()), "no properties")
      try check(H5Pset_userblock(properties.id, hsize_t(userBlock)), "no user block")
      return try Handle(
        H5Fcreate(path, sd_h5f_acc_trunc(), properties.id, hid_t(H5P_DEFAULT)),
        "the file cannot be created")
    }
  }

  static func createGroup(_ path: String, in file: borrowing Handle) throws(Failure) {
    let id = file.id
    try locked { () throws(Failure) in
      try Handle(
        H5Gcreate2(id, path, hid_t(H5P_DEFAULT), hid_t(H5P_DEFAULT), hid_t(H5P_DEFAULT)),
        "the group cannot be created"
      ).finish()
    }
  }

  /// Names and kinds of what a group holds, sorted; nil if there is no such group.
  static func items(
    of group: String, in file: borrowing Handle
  ) throws(Failure) -> [(name: String, kind: Item)]? {
    let id = file.id
    return try locked { () throws(Failure) -> [(name: String, kind: Item)]? in
      guard let handle = try? Handle(H5Gopen2(id, group, hid_t(H5P_DEFAULT)), "") else {
        return nil
      }
      var information = H5G_info_t()
      try check(H5Gget_info(handle.id, &information), "the group cannot be read")
      var items: [(name: String, kind: Item)] = []
      for index in 0..<information.nlinks {
        let name = try text { buffer, size in
          H5Lget_name_by_idx(
            handle.id, ".", H5_INDEX_NAME, H5_ITER_INC, index, buffer, size, hid_t(H5P_DEFAULT))
        }
        items.append((name, kind(of: name, in: handle.id)))
      }
      return items
    }
  }

  private static func kind(of name: String, in group: hid_t) -> Item {
    guard let item = try? Handle(H5Oopen(group, name, hid_t(H5P_DEFAULT)), "") else {
      return .other
    }
    return switch H5Iget_type(item.id) {
    case H5I_GROUP: .group
    case H5I_DATASET: .dataset
    default: .other
    }
  }

  /// A text from a function that tells its length when it is given no buffer.
  static func text(
    _ read: (UnsafeMutablePointer<CChar>?, Int) -> Int
  ) throws(Failure) -> String {
    let length = read(nil, 0)
    guard length >= 0 else { throw Failure("a name cannot be read") }
    var characters = [CChar](repeating: 0, count: length + 1)
    guard read(&characters, length + 1) == length else { throw Failure("a name cannot be read") }
    return String(decoding: characters.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
