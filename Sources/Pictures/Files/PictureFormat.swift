internal import Files

/// The kinds of picture files that are read, told by their first bytes and never by their name.
package enum PictureFormat: String, Sendable, CaseIterable {
  case jpeg = "JPEG"
  case png = "PNG"
  case webp = "WebP"

  /// - Throws: ``PictureError/notRead(found:)``, which names other kinds that are known.
  package init(of bytes: some Collection<UInt8>) throws(PictureError) {
    let start = Array(bytes.prefix(512))
    if start.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if start.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if start.starts(with: "RIFF".utf8), start.dropFirst(8).starts(with: "WEBP".utf8) {
      self = .webp
    } else {
      throw .notRead(found: Self.other(start))
    }
  }

  /// What a file is that is no picture that can be read.
  private static func other(_ start: [UInt8]) -> String {
    guard !start.isEmpty else { return "no bytes" }
    let content = FileContent(first: start, count: start.count)
    if content == .gitLFSPointer { return content.inWords }
    let signatures: [(at: Int, bytes: [UInt8], name: String)] = [
      (0, Array("GIF8".utf8), "a GIF picture"), (0, Array("BM".utf8), "a BMP picture"),
      (0, [0x49, 0x49, 0x2A, 0], "a TIFF picture"), (0, [0x4D, 0x4D, 0, 0x2A], "a TIFF picture"),
      (0, Array("8BPS".utf8), "a Photoshop document"), (0, Array("%PDF".utf8), "a PDF document"),
      (0, [0xFF, 0x0A], "a JPEG XL picture"), (4, Array("JXL ".utf8), "a JPEG XL picture"),
      (4, Array("ftypavif".utf8), "an AVIF picture"), (4, Array("ftypheic".utf8), "a HEIC picture"),
      (4, Array("ftyp".utf8), "a HEIF picture or a film"), (0, Array("PK".utf8), "a zip archive"),
      (0, [0x1F, 0x8B], "a gzip file"),
    ]
    if let known = signatures.first(where: { start.dropFirst($0.at).starts(with: $0.bytes) }) { return known.name }
    let text = String(decoding: start, as: UTF8.self).lowercased()
    if text.contains("<svg") { return "an SVG drawing" }
    if text.contains("<!doctype html") || text.contains("<html") { return "an HTML page" }
    if start.allSatisfy({ $0 >= 32 && $0 < 127 || (9...13).contains($0) }) { return "text" }
    return "content of an unknown kind"
  }
}
