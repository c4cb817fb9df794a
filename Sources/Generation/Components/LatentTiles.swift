internal import Foundation
internal import Tensors

/// Decodes latents in square tiles that overlap by a quarter, faded into each other; diffusers' `tiled_decode`.
///
/// Each tile's group norms see that tile alone, so colours may drift a little from one to the next.
struct LatentTiles {
  let tile: Int
  let magnification: Int

  /// First latent pixels of the tiles along an axis; the last one ends with the axis.
  private func starts(_ length: Int) -> [Int] {
    guard length > tile else { return [0] }
    let stride = max(1, tile * 3 / 4)
    return Array(Swift.stride(from: 0, to: length - tile, by: stride)) + [length - tile]
  }

  /// - Parameters:
  ///   - z: `[1, channels, height, width]`
  ///   - decode: a tile `[1, channels, tile, tile]` to its picture `[1, 3, …]`
  func decoded(_ z: Tensor, _ decode: (Tensor) throws -> Tensor) throws -> Tensor {
    let (height, width) = (z.shape[2], z.shape[3])
    let (rows, columns) = (height * magnification, width * magnification)
    var sums = [Float](repeating: 0, count: 3 * rows * columns)
    var weights = [Float](repeating: 0, count: rows * columns)
    for top in starts(height) {
      for left in starts(width) {
        let part = cut(z, top, left, min(tile, height), min(tile, width))
        let picture = try decode(part)
        add(picture, at: (top * magnification, left * magnification), &sums, &weights, columns)
      }
    }
    for index in sums.indices { sums[index] /= weights[index % (rows * columns)] }
    return Tensor([1, 3, rows, columns], sums)
  }

  private func cut(_ z: Tensor, _ top: Int, _ left: Int, _ height: Int, _ width: Int) -> Tensor {
    let elements = z.elements
    var part: [Float] = []
    for channel in 0..<z.shape[1] {
      for row in top..<top + height {
        let start = (channel * z.shape[2] + row) * z.shape[3] + left
        part += elements[start..<start + width]
      }
    }
    return Tensor([1, z.shape[1], height, width], part)
  }

  /// Adds a tile with weights that fall to its edges.
  private func add(
    _ picture: Tensor, at origin: (row: Int, column: Int), _ sums: inout [Float],
    _ weights: inout [Float], _ columns: Int
  ) {
    let (height, width) = (picture.shape[2], picture.shape[3])
    let elements = picture.elements
    let fade = Float(max(1, tile * magnification / 4))
    func share(_ index: Int, _ length: Int) -> Float {
      min(1, Float(min(index + 1, length - index)) / fade)
    }
    let plane = weights.count
    for row in 0..<height {
      for column in 0..<width {
        let weight: Float = share(row, height) * share(column, width)
        let at = (origin.row + row) * columns + origin.column + column
        weights[at] += weight
        for channel in 0..<3 {
          let from = (channel * height + row) * width + column
          sums[channel * plane + at] += weight * elements[from]
        }
      }
    }
  }
}

extension Double {
  /// eˣ
  var exponential: Double { exp(self) }
}
