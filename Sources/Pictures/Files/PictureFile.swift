internal import Foundation

/// Picture files on the disk.
package enum PictureFile {
  /// A file that cannot be used as a picture; one line.
  package struct Failure: Error, CustomStringConvertible, Equatable {
    package let path: String
    package let reason: PictureError

    package var description: String { "\(path): \(reason)" }
  }

  /// Bytes that are read at most: a picture of the largest size that is decoded, hardly compressed.
  package static let mostBytes = 512 << 20

  /// The picture in a file; see ``PictureDecoder``.
  package static func read(_ path: String, _ decoder: PictureDecoder = PictureDecoder()) throws(Failure) -> Picture {
    do throws(PictureError) {
      return try decoder(try bytes(of: path)).picture
    } catch {
      throw Failure(path: path, reason: error)
    }
  }

  /// All bytes of a regular file; what else stands under the name, such as a pipe, is not opened.
  package static func bytes(of path: String) throws(PictureError) -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else { throw .file(reason: String(cString: strerror(errno))) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .file(reason: "not a regular file") }
    guard status.st_size <= mostBytes else { throw .file(reason: "expected at most \(mostBytes) bytes") }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .file(reason: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, initialized in
      while initialized < buffer.count {
        let count = Foundation.read(descriptor, buffer.baseAddress! + initialized, buffer.count - initialized)
        if count < 0 && errno == EINTR { continue }
        if count < 0 { failure = errno }
        guard count > 0 else { break }
        initialized += count
      }
    }
    guard failure == 0 else { throw .file(reason: String(cString: strerror(failure))) }
    return bytes
  }
}
