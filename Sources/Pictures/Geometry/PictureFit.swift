/// How pictures are brought to the sizes that a model is trained on.
package enum PictureFit: Sendable, Equatable {
  /// Every picture to the bucket nearest to its aspect, as kohya's sd-scripts do: OpenCV's `INTER_AREA` where neither
  /// side grows, else Pillow's Lanczos; then cropped.
  case buckets(AspectBuckets)
  /// The shorter side to so many pixels by Pillow's Lanczos, then cropped to a square, as diffusers' training scripts do.
  case square(Int)
}

/// What becomes of one picture: resized, then cropped.
package struct PicturePlacement: Sendable, Equatable {
  package let original: PixelSize
  package let resized: PixelSize
  package let target: PixelSize
  /// Of the crop in the resized picture.
  package var left: Int
  package var top: Int

  /// Largest crop offsets.
  package var room: (across: Int, down: Int) { (resized.width - target.width, resized.height - target.height) }
}

extension PictureFit {
  /// The sizes of a picture, cropped at its middle; nil if it is smaller than a bucket's step and may not be enlarged.
  package func placement(of picture: PixelSize) -> PicturePlacement? {
    switch self {
    case .buckets(let buckets):
      guard let (bucket, resized) = buckets.placement(of: picture) else { return nil }
      return PicturePlacement(
        original: picture, resized: resized, target: bucket, left: max(0, resized.width - bucket.width) / 2,
        top: max(0, resized.height - bucket.height) / 2)
    case .square(let side):
      let (short, long) = (min(picture.width, picture.height), max(picture.width, picture.height))
      // Cut, not rounded, as torchvision's Resize does; its CenterCrop rounds halves to even.
      let longer = side * long / short
      let resized =
        picture.width <= picture.height ? PixelSize(side, longer) : PixelSize(longer, side)
      func middle(_ room: Int) -> Int { Int((Double(room) / 2).rounded(.toNearestOrEven)) }
      return PicturePlacement(
        original: picture, resized: resized, target: PixelSize(side, side), left: middle(resized.width - side),
        top: middle(resized.height - side))
    }
  }

  /// The picture as a placement says.
  package func placed(_ picture: Picture, _ placement: PicturePlacement) -> Picture {
    let filter: ResamplingFilter =
      switch self {
      case .square: .lanczos
      case .buckets:
        placement.resized.width <= picture.width && placement.resized.height <= picture.height ? .area : .lanczos
      }
    return picture.resized(
      width: placement.resized.width, height: placement.resized.height, filter,
      part: PictureRegion(
        left: placement.left, top: placement.top, width: placement.target.width, height: placement.target.height))
  }
}
