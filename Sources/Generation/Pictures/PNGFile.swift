internal import CPNG
internal import Checkpoints
package import Foundation

/// PNG files, through libpng; texts are kept in `iTXt` chunks.
package enum PNGFile {
  /// Pixels on a side that are read at most.
  private static let longestSide: UInt32 = 16_384

  /// - Parameter texts: keywords and their texts, written behind the header.
  package static func encode(
    _ picture: Picture, texts: [(keyword: String, text: String)] = []
  ) throws(GenerationError) -> Data {
    var image = sd_png_image()
    image.width = UInt32(picture.width)
    image.height = UInt32(picture.height)
    image.format = sd_png_rgb()
    // Deflate never adds more than five bytes a block of 16 KiB; the rest is for headers.
    var size = picture.bytes.count + picture.height + picture.bytes.count / 1000 + 4096
    var file = Data(count: size)
    let written = file.withUnsafeMutableBytes { bytes in
      png_image_write_to_memory(&image, bytes.baseAddress, &size, 0, picture.bytes, 0, nil)
    }
    guard written != 0 else { throw failure("PNG", image) }
    file = file.prefix(size)
    // Signature and header are 8 and 25 bytes long; texts may stand anywhere behind them.
    let chunks = texts.reduce(into: Data()) { $0.append(chunk($1.keyword, $1.text)) }
    file.insert(contentsOf: chunks, at: 33)
    return Data(file)
  }

  package static func write(
    _ picture: Picture, texts: [(keyword: String, text: String)] = [], to path: String
  ) throws(GenerationError) {
    let data = try encode(picture, texts: texts)
    do {
      try data.write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw .picture(path: path, reason: "cannot be written: is its folder there?")
    }
  }

  /// Reads a PNG of any kind; what is transparent becomes white.
  package static func read(_ path: String) throws(GenerationError) -> Picture {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .picture(path: path, reason: "cannot be read: no such file")
    }
    return try decode(data, path: path)
  }

  package static func decode(_ data: Data, path: String) throws(GenerationError) -> Picture {
    var image = sd_png_image()
    defer { png_image_free(&image) }
    let bytes = [UInt8](data)
    return try withExtendedLifetime(bytes) { () throws(GenerationError) -> Picture in
      let pixels = bytes.withUnsafeBytes { source -> [UInt8]? in
        guard let base = source.baseAddress,
          png_image_begin_read_from_memory(&image, base, source.count) != 0,
          image.width <= longestSide, image.height <= longestSide
        else { return nil }
        image.format = sd_png_rgba()
        var pixels = [UInt8](repeating: 0, count: Int(image.width) * Int(image.height) * 4)
        return png_image_finish_read(&image, nil, &pixels, 0, nil) != 0 ? pixels : nil
      }
      guard let pixels else {
        if image.width > longestSide || image.height > longestSide {
          throw .picture(path: path, reason: "expected at most \(longestSide) pixels a side")
        }
        throw failure(path, image)
      }
      return Picture(
        width: Int(image.width), height: Int(image.height), bytes: overWhite(pixels))
    }
  }

  private static func overWhite(_ pixels: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(pixels.count / 4 * 3)
    for at in stride(from: 0, to: pixels.count, by: 4) {
      let cover = Int(pixels[at + 3])
      for channel in 0..<3 {
        let mixed = Int(pixels[at + channel]) * cover + 255 * (255 - cover)
        bytes.append(UInt8((mixed + 127) / 255))
      }
    }
    return bytes
  }

  /// The texts of a file by keyword, as ``encode(_:texts:)`` writes them.
  package static func texts(_ data: Data) -> [String: String] {
    var texts: [String: String] = [:]
    let bytes = [UInt8](data)
    var at = 8
    while at + 12 <= bytes.count {
      let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= bytes.count - at - 12 else { break }
      let body = bytes[at + 8..<at + 8 + length]
      if bytes[at + 4..<at + 8].elementsEqual("iTXt".utf8), let end = body.firstIndex(of: 0),
        end + 3 <= body.endIndex
      {
        let parts = body[(end + 3)...].split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        if parts.count == 3 {
          texts[String(decoding: body[..<end], as: UTF8.self)] = String(decoding: parts[2], as: UTF8.self)
        }
      }
      at += 12 + length
    }
    return texts
  }

  /// Keyword, no compression, no language, no translation, text in UTF-8 (PNG 1.2, 4.2.3.3).
  private static func chunk(_ keyword: String, _ text: String) -> Data {
    let body = Data("iTXt\(keyword)".utf8) + Data([0, 0, 0, 0, 0]) + Data(text.utf8)
    var check = CRC32()
    let checked = [UInt8](body)
    check.update(checked.span.bytes)
    return bigEndian(UInt32(body.count - 4)) + body + bigEndian(check.value)
  }

  private static func bigEndian(_ number: UInt32) -> Data {
    Data((0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) })
  }

  private static func failure(_ path: String, _ image: png_image) -> GenerationError {
    let reason = withUnsafeBytes(of: image.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return .picture(path: path, reason: "not a sound PNG file: \(reason)")
  }
}
