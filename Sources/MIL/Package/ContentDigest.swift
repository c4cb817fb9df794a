package import Foundation
internal import Kernels

/// A number that tells whether bytes are what they were: XXH64 (Collet), seed 0.
///
/// It costs less than reading does, and is made for files that change by work or by accident: whoever forges a package
/// can forge its digest too.
package enum ContentDigest {
  /// Of a file: the pieces of 8 MiB are taken on all cores, and their digests once more.
  ///
  /// - Returns: 16 hexadecimal digits.
  package static func ofFile(_ path: String) throws(MILError) -> String {
    let file: MappedFile
    do { file = try MappedFile(path) } catch { throw .file(path: path, reason: "cannot be read") }
    let piece = 8 << 20
    let digests = Parallel.map((file.count + piece - 1) / piece) { index in
      let range = index * piece..<min(file.count, (index + 1) * piece)
      defer { file.forget(range) }
      return file.withBytes(range) { bytes in bytes.withUnsafeBytes { of($0) } }
    }
    return text(of(Data(littleEndian: digests)))
  }

  package static func text(_ digest: UInt64) -> String {
    let digits = String(digest, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Of a record's data.
  static func of(_ record: WeightRecord) -> UInt64 {
    record.file.withBytes(record.range) { bytes in bytes.withUnsafeBytes { of($0) } }
  }

  package static func of(_ bytes: Data) -> UInt64 { bytes.withUnsafeBytes { of($0) } }

  private static let p1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let p2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let p3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let p4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let p5: UInt64 = 0x27D4_EB2F_1656_67C5

  private static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    func word(_ at: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
    var at = 0
    var hash = p5
    if bytes.count >= 32 {
      var (a, b, c, d) = (p1 &+ p2, p2, UInt64(0), 0 &- p1)
      while at + 32 <= bytes.count {
        a = round(a, word(at))
        b = round(b, word(at + 8))
        c = round(c, word(at + 16))
        d = round(d, word(at + 24))
        at += 32
      }
      hash = rotated(a, 1) &+ rotated(b, 7) &+ rotated(c, 12) &+ rotated(d, 18)
      for lane in [a, b, c, d] { hash = (hash ^ round(0, lane)) &* p1 &+ p4 }
    }
    hash &+= UInt64(bytes.count)
    while at + 8 <= bytes.count {
      hash = rotated(hash ^ round(0, word(at)), 27) &* p1 &+ p4
      at += 8
    }
    if at + 4 <= bytes.count {
      let half = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
      hash = rotated(hash ^ UInt64(half) &* p1, 23) &* p2 &+ p3
      at += 4
    }
    for byte in bytes[at...] { hash = rotated(hash ^ UInt64(byte) &* p5, 11) &* p1 }
    hash = (hash ^ hash >> 33) &* p2
    hash = (hash ^ hash >> 29) &* p3
    return hash ^ hash >> 32
  }

  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotated(lane &+ word &* p2, 31) &* p1
  }

  private static func rotated(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }
}
