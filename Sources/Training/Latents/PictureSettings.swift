package import Pictures
package import Recipes
package import StableDiffusion
internal import Tensors

/// How pictures become latents, with every number decided by recipe and model.
package struct PictureSettings: Sendable, Equatable {
  package let resolution: Int
  package let fit: PictureFit
  /// Red, green and blue behind what is transparent.
  package let background: [UInt8]
  /// Random places that every picture is cropped at; 0 for its middle.
  let crops: Int
  let flips: Bool
  private let seed: UInt64

  /// - Parameters:
  ///   - magnification: pixels of a latent pixel's side.
  /// - Throws: ``TrainingError/mismatch`` where sides are no multiples of a latent pixel.
  package init(
    _ recipe: PictureRecipe, seed: UInt64, unet: UNetConfiguration, magnification: Int
  ) throws(TrainingError) {
    resolution = recipe.resolution > 0 ? recipe.resolution : unet.sampleSize * magnification
    background = recipe.backgroundColour ?? [255, 255, 255]
    crops = recipe.crop == .random ? recipe.crops : 0
    flips = recipe.flip
    self.seed = seed
    func side(_ value: Int, _ fallback: Int) -> Int { value > 0 ? value : fallback }
    let step = side(recipe.buckets.step, min(64, max(1, resolution / 8 / magnification) * magnification))
    let least = side(recipe.buckets.least, max(step, min(256, resolution / 2) / step * step))
    let most = side(recipe.buckets.most, 2 * resolution)
    for (what, value) in [
      ("resolution", resolution), ("buckets.step", step), ("buckets.least", least), ("buckets.most", most),
    ] where value % magnification != 0 {
      throw .mismatch(
        what: "pictures.\(what)", expected: "a multiple of \(magnification) pixels, which the VAE makes one of",
        found: "\(value)")
    }
    switch recipe.fit {
    case .square: fit = .square(resolution)
    case .buckets:
      fit = .buckets(
        AspectBuckets(
          resolution: resolution, step: step, least: least, most: most, enlarges: recipe.buckets.enlarge))
    }
    if case .buckets(let buckets) = fit, buckets.least > buckets.most || buckets.sizes.isEmpty {
      throw .mismatch(
        what: "pictures.buckets", expected: "sides from \(step) pixels on", found: "\(buckets.least) to \(buckets.most)"
      )
    }
  }

  /// The same for validation: one size, the package's, cropped at the middle.
  package var forValidation: PictureSettings { PictureSettings(self, fit: .square(resolution)) }

  private init(_ settings: PictureSettings, fit: PictureFit) {
    resolution = settings.resolution
    self.fit = fit
    background = settings.background
    (crops, flips, seed) = (0, false, 0)
  }

  /// One way to encode a picture; training draws one of all in every epoch.
  struct Variant: Sendable, Equatable {
    /// Of the random crops; nil for the middle.
    let crop: Int?
    let isFlipped: Bool
  }

  var variants: [Variant] {
    let places: [Int?] = crops > 0 ? (0..<crops).map { $0 } : [nil]
    return places.flatMap { crop in
      (flips ? [false, true] : [false]).map { Variant(crop: crop, isFlipped: $0) }
    }
  }

  /// Everything that decides what a picture of this content is encoded from.
  ///
  /// - Parameter digest: SHA-256 of the file, in hexadecimal.
  func key(_ digest: String, _ variant: Variant) -> String {
    let size: String =
      switch fit {
      case .square(let side): "square \(side)"
      case .buckets(let b):
        "buckets \(b.resolution) \(b.step) \(b.least) \(b.most) \(b.enlarges ? "enlarged" : "as large")"
      }
    let place = variant.crop.map { "crop \($0) of seed \(seed)" } ?? "centre"
    return "\(digest) \(size) over \(background) \(place)\(variant.isFlipped ? " flipped" : "")"
  }

  /// Where a picture of this content is cropped; nil if it is too small and may not be enlarged.
  func placement(of size: PixelSize, digest: [UInt8], _ variant: Variant) -> PicturePlacement? {
    guard var placement = fit.placement(of: size) else { return nil }
    guard let crop = variant.crop else { return placement }
    // A function of the content, so that pictures that come or go change no other's.
    let number = digest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    var random = CounterGenerator(seed: seed &+ UInt64(number) &* 0x9E37_79B9, .crop, step: crop)
    placement.left = random.integer(below: placement.room.across + 1)
    placement.top = random.integer(below: placement.room.down + 1)
    return placement
  }

  /// The picture as the model is to see it.
  func prepared(_ picture: Picture, _ placement: PicturePlacement, _ variant: Variant) -> Picture {
    let placed = fit.placed(picture, placement)
    return variant.isFlipped ? placed.flipped : placed
  }
}
