package import Kernels

extension Tensor {
  /// Nearest-neighbour enlargement of `[batch, height, width, channels]` to the given size in pixels.
  package func upsampled(height: Int, width: Int) -> Tensor {
    UpsampleNearest(height: height, width: width)(self)
  }
}

/// Each target pixel is the source pixel at `⌊target · source size / target size⌋` (torch `interpolate`, nearest).
package struct UpsampleNearest: Operation {
  package static let name = "upsample"
  package let height: Int
  package let width: Int

  private func kernel(_ x: Shape) -> ImageResampling {
    ImageResampling(
      batch: x[0], height: x[1], width: x[2], channels: x[3], targetHeight: height,
      targetWidth: width)
  }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(inputs[0].rank == 4 && height > 0 && width > 0, "upsample: \(inputs[0])")
    return [inputs[0][0], height, width, inputs[0][3]]
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    kernel(x[0].shape).nearest(x[0].buffer, into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: inputs[0].count)
    kernel(inputs[0]).nearestGradient(dy, into: dx)
    return [dx]
  }
}
