import Kernels
import Tensors
import Testing
import Training

/// Pictures moved by whole pixels, their edges repeated.
@Suite struct PictureShiftTests {
  @Test func everyPictureIsMovedAsAWhole() {
    let (height, width) = (4, 5)
    let numbers = (0..<3 * 2 * height * width).map(Float.init)
    let pictures = Tensor([3, 2, height, width], numbers)
    var seen: Set<[Int]> = []
    for step in 0..<40 {
      let moved = pictures.shifted(atMost: 1, seed: 1, step: step).buffer.elements
      #expect(moved == pictures.shifted(atMost: 1, seed: 1, step: step).buffer.elements)
      for picture in 0..<3 {
        let start = picture * 2 * height * width
        // Where an inner pixel of the first channel came from tells the move.
        let source = Int(moved[start + width + 1]) - start
        let (down, right) = (1 - source / width, 1 - source % width)
        seen.insert([down, right])
        for at in 0..<2 * height * width {
          let (channel, row, column) = (at / (height * width), at / width % height, at % width)
          let (y, x) = (min(height - 1, max(0, row - down)), min(width - 1, max(0, column - right)))
          #expect(moved[start + at] == numbers[start + (channel * height + y) * width + x])
        }
      }
    }
    #expect(seen.count == 9)
  }

  @Test func withoutALimitNothingMoves() {
    let pictures = Tensor([1, 1, 2, 2], [1, 2, 3, 4])
    #expect(pictures.shifted(atMost: 0, seed: 1, step: 0).buffer.elements == [1, 2, 3, 4])
  }
}
