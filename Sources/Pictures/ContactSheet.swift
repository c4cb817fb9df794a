extension Picture {
  /// Pictures of one size in rows and columns on white, `gap` pixels apart.
  ///
  /// - Precondition: at least one picture, all of one size.
  package static func sheet(_ rows: [[Picture]], gap: Int = 4) -> Picture {
    let (width, height) = (rows[0][0].width, rows[0][0].height)
    precondition(
      rows.joined().allSatisfy { $0.width == width && $0.height == height }, "sheet: pictures of several sizes")
    let columns = rows.map(\.count).max() ?? 1
    let (across, down) = (columns * (width + gap) + gap, rows.count * (height + gap) + gap)
    var bytes = [UInt8](repeating: 255, count: across * down * 3)
    for (row, pictures) in rows.enumerated() {
      for (column, picture) in pictures.enumerated() {
        for line in 0..<height {
          let y = gap + row * (height + gap) + line
          let at = (y * across + gap + column * (width + gap)) * 3
          let from = line * width * 3
          bytes.replaceSubrange(at..<at + width * 3, with: picture.bytes[from..<from + width * 3])
        }
      }
    }
    return Picture(width: across, height: down, bytes: bytes)
  }
}
