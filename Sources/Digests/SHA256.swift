internal import CCrypto
internal import Foundation

/// SHA-256 (FIPS 180-4), by OpenSSL's libcrypto.
package struct SHA256: ~Copyable {
  private let context: OpaquePointer

  package init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      preconditionFailure("SHA-256: libcrypto has no memory or no such digest")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  package mutating func update(_ bytes: some Sequence<UInt8>) {
    let isWhole: Void? = bytes.withContiguousStorageIfAvailable { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
      .map { precondition($0 == 1, "SHA-256: libcrypto takes no bytes") }
    if isWhole == nil { update(Array(bytes)) }
  }

  /// The digest's 32 bytes; nothing may follow.
  package mutating func finishBytes() -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    precondition(EVP_DigestFinal_ex(context, &digest, nil) == 1, "SHA-256: libcrypto gives no digest")
    return digest
  }

  /// The digest in hexadecimal; nothing may follow.
  package mutating func finish() -> String { Self.text(finishBytes()) }

  package static func text(_ digest: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  package static func of(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finishBytes()
  }

  /// Of a file's contents, or of every file in a folder.
  package static func of(place path: String) throws -> String {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      return try ofFolder(path)
    }
    var hash = SHA256()
    try hash.update(fileAt: path)
    return hash.finish()
  }

  /// Of every file in a folder: each one's path relative to the folder, a zero byte and its contents, sorted by path.
  package static func ofFolder(_ path: String) throws -> String {
    var hash = SHA256()
    let names = try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
    for name in names {
      let facts = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
      guard facts[.type] as? FileAttributeType == .typeRegular else { continue }
      hash.update(Array(name.utf8) + [0])
      try hash.update(fileAt: "\(path)/\(name)")
    }
    return hash.finish()
  }

  /// Takes in a file, a piece after the other.
  package mutating func update(fileAt path: String) throws {
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    defer { try? handle.close() }
    while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty { update(part) }
  }
}
