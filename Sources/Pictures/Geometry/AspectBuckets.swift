/// A width and a height in pixels.
package struct PixelSize: Sendable, Hashable, Comparable, CustomStringConvertible {
  package var width: Int
  package var height: Int

  package init(_ width: Int, _ height: Int) {
    self.width = width
    self.height = height
  }

  package var description: String { "\(width)×\(height)" }
  var aspect: Double { Double(width) / Double(height) }

  package static func < (a: PixelSize, b: PixelSize) -> Bool { (a.width, a.height) < (b.width, b.height) }
}

/// The sizes that pictures of many aspects are brought to, by the rule of kohya's sd-scripts (`BucketManager`): sides
/// that are multiples of a step, of about one area.
package struct AspectBuckets: Sendable, Equatable {
  package var resolution: Int
  package var step: Int
  package var least: Int
  package var most: Int
  /// Whether small pictures are enlarged; otherwise every picture has a bucket of its own size or smaller.
  package var enlarges: Bool
  /// All sizes, ascending; of no use where pictures are not enlarged.
  package let sizes: [PixelSize]

  /// - Precondition: a resolution and a step above 0, sides of at least a step.
  package init(resolution: Int, step: Int, least: Int, most: Int, enlarges: Bool = true) {
    precondition(resolution > 0 && step > 0 && least > 0, "buckets of \(resolution) pixels in steps of \(step)")
    (self.resolution, self.step, self.least, self.most) = (resolution, step, least, most)
    self.enlarges = enlarges
    let area = resolution * resolution
    let side = resolution / step * step
    var sizes: Set<PixelSize> = side > 0 ? [PixelSize(side, side)] : []
    for width in stride(from: least, through: most, by: step) {
      let height = min(most, area / width / step * step)
      if height >= least { sizes.formUnion([PixelSize(width, height), PixelSize(height, width)]) }
    }
    self.sizes = sizes.sorted()
  }

  /// The size that a picture is brought to, and the size it is resized to before it is cropped to that; nil if the
  /// picture is smaller than a step and may not be enlarged.
  package func placement(of picture: PixelSize) -> (bucket: PixelSize, resized: PixelSize)? {
    guard enlarges else { return placementWithoutEnlarging(picture) }
    let aspect = picture.aspect
    // The first on ties; argmin of |width / height − aspect|, as kohya has it.
    let bucket =
      sizes.contains(picture)
      ? picture : sizes.min { abs($0.aspect - aspect) < abs($1.aspect - aspect) }
    guard let bucket else { return nil }
    let scale =
      aspect > bucket.aspect
      ? Double(bucket.height) / Double(picture.height) : Double(bucket.width) / Double(picture.width)
    return (
      bucket,
      PixelSize(Int(Double(picture.width) * scale + 0.5), Int(Double(picture.height) * scale + 0.5))
    )
  }

  private func placementWithoutEnlarging(
    _ picture: PixelSize
  ) -> (bucket: PixelSize, resized: PixelSize)? {
    func rounded(_ value: Double) -> Int { Int(value + 0.5) / step * step }
    let area = resolution * resolution
    var resized = picture
    if picture.width * picture.height > area {
      let aspect = picture.aspect
      let width = (Double(area) * aspect).squareRoot()
      let height = Double(area) / width
      let (across, down) = (rounded(width), rounded(height))
      let widthFirst = Double(across) / Double(rounded(Double(across) / aspect))
      let heightFirst = Double(rounded(Double(down) * aspect)) / Double(down)
      resized =
        abs(widthFirst - aspect) < abs(heightFirst - aspect)
        ? PixelSize(across, Int(Double(across) / aspect + 0.5))
        : PixelSize(Int(Double(down) * aspect + 0.5), down)
    }
    let bucket = PixelSize(resized.width / step * step, resized.height / step * step)
    return bucket.width > 0 && bucket.height > 0 ? (bucket, resized) : nil
  }
}
