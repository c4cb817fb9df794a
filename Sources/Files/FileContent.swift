package import Kernels

/// What a file is by its first bytes, whatever its name says.
package enum FileContent: Sendable, Equatable {
  case safetensors
  case gguf
  case zip
  /// Pickled Python objects without an archive around them, as torch wrote before 1.6.
  case pickle
  case hdf5
  case png, jpeg, webp
  case json
  case webPage
  /// What a clone without git-lfs holds instead of a large file.
  case gitLFSPointer
  case empty
  case unknown

  package init(_ file: MappedFile) {
    let first = file.withBytes(0..<min(file.count, 64)) { $0.elements(as: UInt8.self) }
    self.init(first: first, count: file.count)
  }

  /// - Parameters:
  ///   - first: some 64 bytes.
  ///   - count: bytes of the whole file.
  package init(first: [UInt8], count: Int) {
    func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool { first.dropFirst(offset).starts(with: bytes) }
    func begins(_ text: String, at offset: Int = 0) -> Bool { begins(Array(text.utf8), at: offset) }
    let text = first.drop { [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
    self =
      switch true {
      case first.isEmpty: .empty
      case begins("version https://git-lfs"): .gitLFSPointer
      case begins("GGUF"): .gguf
      case begins("PK\u{3}\u{4}"), begins("PK\u{5}\u{6}"): .zip
      case begins([0x89]) && begins("HDF\r\n", at: 1): .hdf5
      case begins([0x89]) && begins("PNG", at: 1): .png
      case begins([0xFF, 0xD8, 0xFF]): .jpeg
      case begins("RIFF") && begins("WEBP", at: 8): .webp
      // A header's length, then its JSON; what claims more than there is may still be a file cut off.
      case first.count >= 9 && first[8] == UInt8(ascii: "{") && first[5..<8].allSatisfy { $0 == 0 }: .safetensors
      case first.count >= 2 && first[0] == 0x80 && (2...5).contains(first[1]): .pickle
      case text.first == UInt8(ascii: "<"): .webPage
      case text.first == UInt8(ascii: "{"): .json
      default: .unknown
      }
  }

  /// What the file is, for the end of "expected …, found …".
  package var inWords: String {
    switch self {
    case .safetensors: "a safetensors file"
    case .gguf: "a GGUF file"
    case .zip: "a zip archive"
    case .pickle: "a Python pickle"
    case .hdf5: "an HDF5 file"
    case .png: "a PNG picture"
    case .jpeg: "a JPEG picture"
    case .webp: "a WebP picture"
    case .json: "JSON text"
    case .webPage: "a web page, as failed downloads leave it: download the file again"
    case .gitLFSPointer: "a Git LFS pointer, what a clone without git-lfs has instead of the file: run 'git lfs pull'"
    case .empty: "an empty file"
    case .unknown: "other content"
    }
  }

  /// Refuses a file that is known to be something else than what its reader expects.
  ///
  /// Readers call it before they look for what they know, so that a pointer or a web page is named as what it is and not
  /// by its first implausible number.
  ///
  /// - Parameter kind: what the reader reads, such as "a safetensors file".
  package static func check(_ file: MappedFile, is known: FileContent, _ kind: String) throws(FileError) {
    let content = FileContent(file)
    guard content != known, content != .unknown else { return }
    throw .malformed(file: file.path, expected: kind, found: content.inWords)
  }
}
