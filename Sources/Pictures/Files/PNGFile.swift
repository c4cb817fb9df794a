internal import CPictures
internal import Files
package import Foundation

/// PNG files, through libpng; texts are kept in `iTXt` chunks.
package enum PNGFile {
  /// - Parameter texts: keywords and their texts, written behind the header.
  package static func encode(
    _ picture: Picture, texts: [(keyword: String, text: String)] = []
  ) throws(PictureError) -> Data {
    // C strings that live as long as libpng needs them.
    let copies = texts.map { (keyword: strdup($0.keyword), text: strdup($0.text)) }
    defer {
      copies.forEach {
        free($0.keyword); free($0.text)
      }
    }
    let chunks = copies.map { sd_png_text(keyword: $0.keyword, text: $0.text) }
    var size = 0
    guard let file = sd_write_png(picture.bytes, picture.width, picture.height, chunks, chunks.count, &size) else {
      throw .damaged(format: .png, reason: "it cannot be written: out of memory, or a keyword that PNG does not allow")
    }
    return Data(bytesNoCopy: file, count: size, deallocator: .free)
  }

  package static func write(
    _ picture: Picture, texts: [(keyword: String, text: String)] = [], to path: String
  ) throws {
    try AtomicFile(path: path).write(encode(picture, texts: texts))
  }

  /// The texts of a file by keyword, as ``encode(_:texts:)`` writes them.
  package static func texts(_ data: Data) -> [String: String] {
    final class Found { var texts: [String: String] = [:] }
    let found = Found()
    let bytes = [UInt8](data)
    sd_each_png_text(bytes, bytes.count, Unmanaged.passUnretained(found).toOpaque()) { context, keyword, text in
      guard let context, let keyword, let text else { return }
      Unmanaged<Found>.fromOpaque(context).takeUnretainedValue().texts[String(cString: keyword)] = String(cString: text)
    }
    return withExtendedLifetime(found) { found.texts }
  }
}
