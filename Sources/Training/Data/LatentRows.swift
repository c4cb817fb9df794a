internal import Checkpoints
internal import Files
package import Kernels
internal import Tensors

/// Where clean latents come from, row by row.
package protocol LatentRows: Sendable {
  /// The latents of one picture as the UNet takes them, or the two halves of what they may be.
  ///
  /// - Parameters:
  ///   - size: number of the size.
  ///   - row: of that size.
  /// - Returns: mean and, where latents are to be drawn, standard deviation, both scaled; `channels · height · width`.
  func row(_ size: Int, _ row: Int) throws -> (mean: Buffer, deviation: Buffer?)
}

/// Latents in memory, `[pictures, channels, height, width]`.
struct LatentsInMemory: LatentRows {
  let latents: Tensor

  func row(_ size: Int, _ row: Int) -> (mean: Buffer, deviation: Buffer?) { (latents.rows([row]).buffer, nil) }
}

/// A dataset of the first format, `[pictures, channels, height, width]`, already scaled.
final class LatentsOfFile: LatentRows, Sendable {
  private let file: HDF5File
  private let dataset: String
  private let rowCount: Int

  init(_ path: String, _ dataset: String, rowCount: Int) throws(FileError) {
    file = try HDF5File(reading: path)
    self.dataset = dataset
    self.rowCount = rowCount
  }

  func row(_ size: Int, _ row: Int) throws -> (mean: Buffer, deviation: Buffer?) {
    (try file.floatRows(dataset, row..<row + 1, rowCount: rowCount), nil)
  }
}

/// Rows of a cache: `(mean − shift) · scale`, and `deviation · scale`.
struct LatentsOfCache: LatentRows {
  let cache: LatentCache
  /// Of the dataset's sizes, their numbers in the cache.
  let numbers: [Int]
  let scale: Float
  let shift: Float
  /// Whether latents are drawn from the posterior.
  let samples: Bool

  func row(_ size: Int, _ row: Int) throws -> (mean: Buffer, deviation: Buffer?) {
    let size = numbers[size]
    let mean = try cache.row("mean", size, row)
    let scaled = Buffer(mean.elements.map { ($0 - shift) * scale })
    guard samples else { return (scaled, nil) }
    return (scaled, Buffer(try cache.row("deviation", size, row).elements.map { $0 * scale }))
  }
}
