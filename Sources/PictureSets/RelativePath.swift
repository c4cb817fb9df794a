/// Paths inside a set, with `/` between their parts.
enum RelativePath {
  /// The path without `.`, `..` and empty parts; nil if it leads out of the set or is none of its kind.
  static func normalized(_ path: String, in folder: [Substring] = []) -> String? {
    guard !path.hasPrefix("/"), !path.contains("://"), !path.utf8.contains(0) else { return nil }
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." {
        guard parts.popLast() != nil else { return nil }
      } else {
        parts.append(part)
      }
    }
    return parts.isEmpty ? nil : (folder + parts).joined(separator: "/")
  }

  /// Whether a path means the set's own folder: `.`, `./` and the like.
  static func isNowhere(_ path: String) -> Bool {
    !path.hasPrefix("/") && path.split(separator: "/").allSatisfy { $0 == "." }
  }

  static func name(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }

  static func folders(_ path: String) -> [Substring] { path.split(separator: "/").dropLast() }

  /// The last extension in lower case, and what stands before it.
  static func stemAndExtension(_ path: String) -> (stem: Substring, ending: String) {
    guard let dot = path.lastIndex(of: "."), !path[dot...].contains("/"), dot != path.startIndex,
      path[path.index(before: dot)] != "/"
    else { return (path[...], "") }
    return (path[..<dot], path[path.index(after: dot)...].lowercased())
  }

  /// What operating systems and trainers leave in folders: passed over without a word.
  static func isJunk(_ path: String) -> Bool {
    let parts = path.split(separator: "/")
    guard let name = parts.last else { return true }
    let known = ["thumbs.db", "desktop.ini"]
    return name.hasPrefix(".") || known.contains(name.lowercased()) || name.lowercased().hasSuffix(".npz")
      || parts.dropLast().contains { $0.hasPrefix(".") || $0.hasPrefix("__") }
  }

  /// Endings of pictures, of kinds that are not read, too: those are named, not passed over.
  private static let pictureEndings: Set<String> = [
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "jxl",
  ]

  static func isPicture(_ path: String) -> Bool { pictureEndings.contains(stemAndExtension(path).ending) }
}
