import Foundation
import MIL
import TestSupport
import Testing

@Suite struct ContentDigestTests {
  /// The reference implementation's values for seed 0.
  @Test(arguments: [
    ("", "ef46db3751d8e999"), ("a", "d24ec4f1a98c6e5b"), ("abc", "44bc2cf5ad770999"),
    ("Nobody inspects the spammish repetition", "fbcea83c8a378bf1"),
  ])
  func vector(text: String, digest: String) {
    #expect(ContentDigest.text(ContentDigest.of(Data(text.utf8))) == digest)
  }

  @Test func fileOfSeveralPieces() throws {
    try withScratchFolder { folder in
      let path = folder + "/digest.bin"
      var bytes = Data((0..<(8 << 20) + 5).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
      try bytes.write(to: URL(filePath: path))
      let first = try ContentDigest.ofFile(path)
      #expect(try ContentDigest.ofFile(path) == first)
      bytes[bytes.count - 1] ^= 1
      try bytes.write(to: URL(filePath: path))
      #expect(try ContentDigest.ofFile(path) != first)
    }
  }
}
