import Foundation
import Pictures
import Tensors
import Testing

/// Picture files and sizes.
@Suite struct PictureTests {
  private func pattern(_ width: Int, _ height: Int) -> Picture {
    Picture(
      width: width, height: height,
      bytes: (0..<width * height * 3).map { index -> UInt8 in
        UInt8(truncatingIfNeeded: (index &* 37) ^ (index >> 3))
      })
  }

  @Test(arguments: [(1, 1), (64, 64), (17, 5)])
  func filesKeepPixelsAndTexts(width: Int, height: Int) throws {
    let picture = pattern(width, height)
    let data = try PNGFile.encode(picture, texts: [("parameters", "rød heart\nSteps: 20"), ("sdtune", "{}")])
    #expect(try PictureDecoder()([UInt8](data)).picture == picture)
    #expect(PNGFile.texts(data) == ["parameters": "rød heart\nSteps: 20", "sdtune": "{}"])
  }

  @Test func damagedFilesAreRefused() throws {
    let data = try PNGFile.encode(pattern(20, 20))
    for count in [0, 7, 30, 60, data.count - 14] {
      #expect(throws: PictureError.self) { try PictureDecoder()([UInt8](data.prefix(count))) }
    }
    for at in stride(from: 0, to: data.count, by: 11) {
      var damaged = data
      damaged[at] ^= 0x55
      // A flipped bit in the checksum of an optional chunk may pass; nothing may crash.
      _ = try? PictureDecoder()([UInt8](damaged))
    }
    #expect(throws: PictureFile.Failure.self) { try PictureFile.read("/nowhere.png") }
  }

  @Test func valuesRoundAsInDiffusers() {
    let values = Tensor([1, 3, 1, 2], [-1, 1, -3, 0, 0.0039, 2])
    #expect(Picture(values: values).bytes == [0, 0, 128, 255, 128, 255])
    let picture = pattern(4, 3)
    #expect(Picture(values: picture.values) == picture)
  }

  @Test func resizingKeepsFlatColours() {
    let flat = Picture(width: 7, height: 5, bytes: (0..<35).flatMap { _ in [10, 200, 77] as [UInt8] })
    for (width, height) in [(3, 2), (20, 31)] {
      let resized = flat.resized(width: width, height: height)
      #expect(resized.bytes == (0..<width * height).flatMap { _ in [10, 200, 77] as [UInt8] })
    }
  }
}
