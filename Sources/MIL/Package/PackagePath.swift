internal import Foundation

/// Paths that a package names, kept inside the package's folder.
enum PackagePath {
  /// The full path of `relative` below `folder`.
  ///
  /// Refused are paths that are empty, absolute, have a component `.` or `..`, or lead through a symbolic link.
  static func resolve(_ relative: String, in folder: String) -> Result<String, Refusal> {
    let components = relative.split(separator: "/", omittingEmptySubsequences: false)
    guard !relative.isEmpty, relative.utf8.count <= 1024, !relative.utf8.contains(0) else {
      return .failure(Refusal(reason: "an empty or overlong path"))
    }
    var path = folder
    for component in components {
      if component.isEmpty || component == "." || component == ".." {
        return .failure(
          Refusal(reason: "the path '\(relative.prefix(200))', which may leave the package"))
      }
      path += "/" + component
      var status = stat()
      guard lstat(path, &status) == 0 else {
        return .failure(Refusal(reason: "'\(relative.prefix(200))', which does not exist"))
      }
      if status.st_mode & S_IFMT == S_IFLNK {
        return .failure(
          Refusal(reason: "'\(relative.prefix(200))', a symbolic link; cp -rL makes files of the hub's links"))
      }
    }
    return .success(path)
  }

  struct Refusal: Error { let reason: String }
}
