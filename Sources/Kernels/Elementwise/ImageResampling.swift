internal import CKernels
internal import Foundation

/// Nearest-neighbour enlargement and averaging of channels-last images, `[batch, height, width, channels]`.
package struct ImageResampling: Sendable {
  package let batch: Int
  package let height: Int
  package let width: Int
  package let channels: Int
  package let targetHeight: Int
  package let targetWidth: Int

  package init(
    batch: Int, height: Int, width: Int, channels: Int, targetHeight: Int, targetWidth: Int
  ) {
    self.batch = batch
    self.height = height
    self.width = width
    self.channels = channels
    self.targetHeight = targetHeight
    self.targetWidth = targetWidth
  }

  package func nearest(_ x: Buffer, into y: Buffer) {
    check(x, y)
    let rows = Shaping.nearest(targetHeight, from: height)
    let columns = Shaping.nearest(targetWidth, from: width)
    Parallel.ranges(batch * targetHeight) { range in
      for row in range {
        let from = (row / targetHeight * height + rows[row % targetHeight]) * width
        for (column, source) in columns.enumerated() {
          (y.pointer + (row * targetWidth + column) * channels).update(
            from: x.pointer + (from + source) * channels, count: channels)
        }
      }
    }
  }

  package func nearestGradient(_ dy: Buffer, into dx: Buffer) {
    check(dx, dy)
    let rows = Shaping.nearest(targetHeight, from: height)
    let columns = Shaping.nearest(targetWidth, from: width)
    Parallel.forEach(batch) { image in
      let pixels = height * width * channels
      memset(dx.pointer + image * pixels, 0, pixels * 4)
      for (row, sourceRow) in rows.enumerated() {
        let to = (image * height + sourceRow) * width
        let from = (image * targetHeight + row) * targetWidth
        for (column, source) in columns.enumerated() {
          sd_accumulate(
            dy.pointer + (from + column) * channels, 1, dx.pointer + (to + source) * channels,
            channels)
        }
      }
    }
  }

  private func check(_ x: Buffer, _ y: Buffer) {
    precondition(
      x.count == batch * height * width * channels
        && y.count == batch * targetHeight * targetWidth * channels,
      "resampling \(height)×\(width) to \(targetHeight)×\(targetWidth): buffers differ")
  }
}
