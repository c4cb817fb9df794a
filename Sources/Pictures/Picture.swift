package import Tensors

/// A picture of eight bits a channel, red, green and blue side by side, the top row first.
package struct Picture: Sendable, Equatable {
  package let width: Int
  package let height: Int
  /// `[height, width, 3]`
  package let bytes: [UInt8]

  /// - Precondition: three bytes a pixel.
  package init(width: Int, height: Int, bytes: [UInt8]) {
    precondition(
      width > 0 && height > 0 && bytes.count == width * height * 3,
      "picture \(width)×\(height): \(bytes.count) bytes")
    self.width = width
    self.height = height
    self.bytes = bytes
  }

  /// - Parameter values: from −1 to 1, what is outside is cut: `[1, 3, height, width]`
  package init(values: Tensor) {
    let last = values.channelsLast()
    self.init(
      width: last.shape[2], height: last.shape[1],
      bytes: last.elements.map { value in
        let share = min(max(value / 2 + 0.5, 0), 1)
        return UInt8((share * 255).rounded(.toNearestOrEven))
      })
  }

  /// The picture as a VAE takes it, from −1 to 1: `[1, height, width, 3]`
  package var pixels: Tensor { Tensor([1, height, width, 3], bytes.map { 2 * (Float($0) / 255) - 1 }) }

  /// The same, `[1, 3, height, width]`.
  package var values: Tensor { pixels.channelsFirst() }

  /// Brightness of every pixel from 0 to 1 (ITU-R BT.601): `[height, width]`
  package var luminance: [Float] {
    stride(from: 0, to: bytes.count, by: 3).map { at -> Float in
      let sum = 299 * Int(bytes[at]) + 587 * Int(bytes[at + 1]) + 114 * Int(bytes[at + 2])
      return Float(sum) / 255_000
    }
  }

  /// Black, of the same size.
  package var blackened: Picture {
    Picture(width: width, height: height, bytes: [UInt8](repeating: 0, count: bytes.count))
  }

  /// What differs from another picture of the same size, four times as strong, around middle grey.
  package func difference(from other: Picture) -> Picture {
    precondition(width == other.width && height == other.height, "difference: pictures of two sizes")
    return Picture(
      width: width, height: height,
      bytes: zip(bytes, other.bytes).map { UInt8(min(max(128 + 4 * (Int($0) - Int($1)), 0), 255)) })
  }
}
