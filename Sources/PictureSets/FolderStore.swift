internal import Foundation
internal import Pictures

/// The files below a folder; nothing outside of it is read, whatever links say.
struct FolderStore: PictureStore {
  private let root: String
  let files: [String]
  let refused: [UnusablePicture]

  private static let deepest = 32

  init(_ path: String) throws(PictureSetError) {
    guard let resolved = Self.resolved(path) else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    root = resolved
    var files: [String] = []
    var refused: [UnusablePicture] = []
    try Self.list(root, "", depth: 0, &files, &refused)
    // Names that differ in the form of their accents alone are one to Swift, and to most file systems.
    var names: [String: Int] = [:]
    for file in files { names[file, default: 0] += 1 }
    refused += files.filter { names[$0] ?? 0 > 1 && RelativePath.isPicture($0) }
      .map { UnusablePicture(file: $0, reason: "another name differs from it in the form of its accents alone") }
    self.files = files.filter { names[$0] == 1 }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    self.refused = refused.sorted { $0.file < $1.file }
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  private static func list(
    _ root: String, _ folder: String, depth: Int, _ files: inout [String], _ refused: inout [UnusablePicture]
  ) throws(PictureSetError) {
    let path = folder.isEmpty ? root : "\(root)/\(folder)"
    guard let stream = opendir(path) else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let (name, isUTF8) = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
          (String(cString: $0), String(validatingCString: $0) != nil)
        }
      }
      let file = folder.isEmpty ? name : "\(folder)/\(name)"
      guard name != ".", name != "..", !RelativePath.isJunk(file) else { continue }
      guard isUTF8 else {
        if RelativePath.isPicture(file) { refused.append(UnusablePicture(file: file, reason: "its name is not UTF-8")) }
        continue
      }
      var status = stat()
      guard lstat("\(root)/\(file)", &status) == 0 else { continue }
      switch status.st_mode & S_IFMT {
      case S_IFREG: files.append(file)
      case S_IFDIR:
        if name.hasPrefix("__") { continue }
        if RelativePath.isPicture(file) { refused.append(UnusablePicture(file: file, reason: "a folder, not a file")) }
        guard depth < deepest else {
          throw .unreadable(path: "\(root)/\(file)", reason: "more than \(deepest) folders deep")
        }
        try list(root, file, depth: depth + 1, &files, &refused)
      case S_IFLNK:
        if let reason = problem(ofLink: "\(root)/\(file)", in: root) {
          if RelativePath.isPicture(file) { refused.append(UnusablePicture(file: file, reason: reason)) }
        } else {
          files.append(file)
        }
      default:
        if RelativePath.isPicture(file) {
          refused.append(UnusablePicture(file: file, reason: "a pipe, socket or device, not a file"))
        }
      }
    }
  }

  /// Why a link is not followed; nil if it leads to a file of the folder.
  private static func problem(ofLink path: String, in root: String) -> String? {
    guard let target = resolved(path) else { return "a link that leads nowhere" }
    guard target.hasPrefix(root == "/" ? "/" : root + "/") else { return "a link that leads out of the folder" }
    var status = stat()
    guard stat(target, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return "a link to no file" }
    return nil
  }

  func bytes(of file: String, limit: Int) throws(PictureSetError) -> [UInt8] {
    guard let handle = FileHandle(forReadingAtPath: "\(root)/\(file)"),
      let data = try? handle.read(upToCount: limit) ?? Data()
    else { throw .unreadable(path: file, reason: errno == 0 ? "unknown" : String(cString: strerror(errno))) }
    return [UInt8](data)
  }

  func read(
    _ files: Set<String>, _ body: (String, Result<[UInt8], UnusablePicture>) throws -> Bool
  ) throws {
    for file in self.files where files.contains(file) {
      let bytes = Result { () throws(PictureError) in try PictureFile.bytes(of: "\(root)/\(file)") }
        .mapError { UnusablePicture(file: file, reason: "\($0)") }
      guard try body(file, bytes) else { return }
    }
  }
}
