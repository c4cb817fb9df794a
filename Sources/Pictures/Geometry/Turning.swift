internal import CKernels

extension Picture {
  /// The picture turned upright.
  ///
  /// - Parameter orientation: EXIF's, 1 to 8.
  func turned(_ orientation: UInt32) -> Picture {
    guard orientation > 1 else { return self }
    let turned = [UInt8](unsafeUninitializedCapacity: bytes.count) { to, initialized in
      if let to = to.baseAddress { sd_turn_picture(bytes, width, height, orientation, to) }
      initialized = bytes.count
    }
    let isOnItsSide = orientation > 4
    return Picture(width: isOnItsSide ? height : width, height: isOnItsSide ? width : height, bytes: turned)
  }

  /// The picture as a mirror shows it, left and right exchanged.
  package var flipped: Picture { turned(2) }

  /// Part of the picture.
  ///
  /// - Precondition: a part inside of it.
  package func cropped(_ part: PictureRegion) -> Picture {
    precondition(
      part.left >= 0 && part.top >= 0 && part.left + part.width <= width && part.top + part.height <= height,
      "crop \(part) of a picture \(width)×\(height)")
    if part.width == width && part.height == height { return self }
    var kept: [UInt8] = []
    kept.reserveCapacity(part.width * part.height * 3)
    for row in part.rows {
      let start = (row * width + part.left) * 3
      kept += bytes[start..<start + part.width * 3]
    }
    return Picture(width: part.width, height: part.height, bytes: kept)
  }
}

/// A rectangle of pixels in a picture.
package struct PictureRegion: Sendable, Equatable, CustomStringConvertible {
  package var left: Int
  package var top: Int
  package var width: Int
  package var height: Int

  package init(left: Int, top: Int, width: Int, height: Int) {
    (self.left, self.top, self.width, self.height) = (left, top, width, height)
  }

  package var rows: Range<Int> { top..<top + height }
  package var columns: Range<Int> { left..<left + width }
  package var description: String { "\(width)×\(height) at \(left), \(top)" }
}
