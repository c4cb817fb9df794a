/// How a folder or archive of pictures becomes what a model is trained on; see ``CaptionRecipe`` for their texts.
package struct PictureRecipe: Codable, Sendable, Equatable {
  package enum Fit: String, Choice {
    /// Every picture to the bucket nearest to its aspect (kohya's rule).
    case buckets
    /// The shorter side to the resolution, cropped to a square (diffusers' rule).
    case square
  }

  package enum Crop: String, Choice {
    case centre
    /// At ``PictureRecipe/crops`` places that the seed draws for each picture.
    case random
  }

  /// Aspect buckets; 0 stands for what follows from the resolution.
  package struct Buckets: Codable, Sendable, Equatable {
    /// Sides are multiples of it: 64, or an eighth of the resolution if that is less.
    package var step: Int
    /// The shortest side: 256, or half the resolution if that is less.
    package var least: Int
    /// The longest side: twice the resolution.
    package var most: Int
    /// Whether pictures smaller than their bucket are enlarged.
    package var enlarge: Bool

    init() {
      (step, least, most) = (0, 0, 0)
      enlarge = true
    }

    package init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      let defaults = Buckets()
      step = try values.value(.step, defaults.step)
      least = try values.value(.least, defaults.least)
      most = try values.value(.most, defaults.most)
      enlarge = try values.value(.enlarge, defaults.enlarge)
    }
  }

  /// The square root of the pictures' area, in pixels; 0 for what the model was made for.
  package var resolution: Int
  package var fit: Fit
  package var crop: Crop
  /// Places that a randomly cropped picture is encoded at; every epoch draws one.
  package var crops: Int
  /// Whether pictures are also encoded as a mirror shows them; every epoch draws one of both.
  package var flip: Bool
  package var buckets: Buckets
  /// The colour behind what is transparent, `#rrggbb`.
  package var background: String
  /// Whether training draws latents from the VAE's posterior in every epoch, as diffusers does, or takes its mean.
  package var sample: Bool
  /// The share of the pictures that is kept for validation where no folder says so.
  package var validation: Double
  /// The share of the pictures that may be unusable before the run is refused.
  package var unusable: Double
  /// The latents' file; empty for one beside the run's folder.
  package var cache: String
  package var captions: CaptionRecipe

  package init() {
    resolution = 0
    fit = .buckets
    crop = .centre
    crops = 4
    flip = false
    buckets = Buckets()
    background = "#ffffff"
    sample = true
    validation = 0.05
    unusable = 0.1
    cache = ""
    captions = CaptionRecipe()
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = PictureRecipe()
    resolution = try values.value(.resolution, defaults.resolution)
    fit = try values.value(.fit, defaults.fit)
    crop = try values.value(.crop, defaults.crop)
    crops = try values.value(.crops, defaults.crops)
    flip = try values.value(.flip, defaults.flip)
    buckets = try values.value(.buckets, defaults.buckets)
    background = try values.value(.background, defaults.background)
    sample = try values.value(.sample, defaults.sample)
    validation = try values.value(.validation, defaults.validation)
    unusable = try values.value(.unusable, defaults.unusable)
    cache = try values.value(.cache, defaults.cache)
    captions = try values.value(.captions, defaults.captions)
  }

  /// Red, green and blue of ``background``; nil if it is no colour.
  package var backgroundColour: [UInt8]? {
    let digits = background.dropFirst()
    guard background.hasPrefix("#"), digits.utf8.count == 6, digits.allSatisfy(\.isHexDigit),
      let number = UInt32(digits, radix: 16)
    else { return nil }
    return [16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  package func validate() throws(RecipeError) {
    try Check.that(
      resolution == 0 || (8...8192).contains(resolution), "pictures.resolution", "0 or 8 to 8192 pixels", resolution)
    for (key, value) in [("step", buckets.step), ("least", buckets.least), ("most", buckets.most)] {
      try Check.that((0...16_384).contains(value), "pictures.buckets.\(key)", "0 to 16384 pixels", value)
    }
    try Check.that((1...64).contains(crops), "pictures.crops", "1 to 64", crops)
    try Check.that(backgroundColour != nil, "pictures.background", "a colour such as #ffffff", "'\(background)'")
    for (key, value) in [("validation", validation), ("unusable", unusable)] {
      try Check.that(value >= 0 && value <= 1, "pictures.\(key)", "a share from 0 to 1", value)
    }
    try captions.validate()
  }
}
