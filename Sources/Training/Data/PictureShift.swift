internal import Kernels
package import Tensors

extension Tensor {
  /// Every picture moved by its own random number of pixels; what moves in repeats the edge.
  ///
  /// - Parameters:
  ///   - self: `[pictures, channels, height, width]`
  ///   - limit: pixels, in each direction; with 0 nothing is drawn.
  package func shifted(atMost limit: Int, seed: UInt64, step: Int) -> Tensor {
    guard limit > 0 else { return self }
    let (pictures, channels, height, width) = (shape[0], shape[1], shape[2], shape[3])
    var random = CounterGenerator(seed: seed, .pictureShift, step: step)
    let source = buffer.elements
    var moved: [Float] = []
    moved.reserveCapacity(source.count)
    for picture in 0..<pictures {
      let down = random.integer(below: 2 * limit + 1) - limit
      let right = random.integer(below: 2 * limit + 1) - limit
      for channel in 0..<channels {
        let plane = (picture * channels + channel) * height * width
        for row in 0..<height {
          let line = plane + min(height - 1, max(0, row - down)) * width
          for column in 0..<width { moved.append(source[line + min(width - 1, max(0, column - right))]) }
        }
      }
    }
    return Tensor(shape, moved)
  }
}
