internal import Checkpoints
internal import Digests
internal import Files
internal import Foundation
internal import Kernels
internal import PictureSets
internal import Pictures
internal import Recipes
internal import StableDiffusion
internal import Tensors

extension PicturePreparation {
  /// Of a key that has latents: mean and deviation, and its four facts.
  func latents(_ key: String) throws -> (mean: Buffer, deviation: Buffer, facts: [Int]) {
    if let place = places[key], let known {
      let facts = known.sizes[place.size].facts[place.row * 4..<place.row * 4 + 4]
      return (
        try known.row("mean", place.size, place.row), try known.row("deviation", place.size, place.row), Array(facts)
      )
    }
    guard let mean = try parts.read(key, "mean"), let deviation = try parts.read(key, "deviation"),
      let facts = try parts.read(key, "facts")
    else { throw FileError.missing(file: parts.folder, item: "latents \(key)") }
    return (mean.buffer, deviation.buffer, facts.elements.map { Int($0) })
  }

  /// The size that a picture is brought to, in pixels.
  func size(of file: String, _ picture: PictureSurvey.Picture) -> PixelSize? {
    if let size = picture.size { return settings(picture).fit.placement(of: size)?.target }
    let key = settings(picture).key(SHA256.text(picture.digest), settings(picture).variants[0])
    return (try? shapeAndSize(key).shape).map {
      PixelSize($0[2] * encoder.magnification, $0[1] * encoder.magnification)
    }
  }

  private func shapeAndSize(_ key: String) throws -> (shape: [Int], original: [Int]) {
    if let place = places[key], let known {
      let facts = known.sizes[place.size].facts[place.row * 4..<place.row * 4 + 4]
      return (known.sizes[place.size].shape, Array(facts.suffix(2)))
    }
    guard let mean = try parts.read(key, "mean"), let facts = try parts.read(key, "facts") else {
      throw FileError.missing(file: parts.folder, item: "latents \(key)")
    }
    return (mean.shape.axes, facts.elements.suffix(2).map { Int($0) })
  }

  /// The whole file, once everything is encoded.
  func contents() throws -> LatentCacheContents {
    var facts: [String: (shape: [Int], original: [Int])] = [:]
    var keys: [String: [String]] = [:]
    for (file, picture) in survey.pictures {
      let settings = settings(picture)
      let digest = SHA256.text(picture.digest)
      let own = settings.variants.map { settings.key(digest, $0) }.sorted()
      keys[file] = own
      for key in own where facts[key] == nil { facts[key] = try shapeAndSize(key) }
    }
    let bySize = Dictionary(grouping: facts.keys) { facts[$0]?.shape ?? [] }
    // As HDF5 lists the names of groups.
    let sizes = bySize.map { LatentCacheContents.Size(shape: $0.key, keys: $0.value.sorted()) }
      .sorted { LatentCache.group($0.shape) < LatentCache.group($1.shape) }
    var rows: [String: (size: Int, row: Int)] = [:]
    for (index, size) in sizes.enumerated() {
      for (row, key) in size.keys.enumerated() { rows[key] = (index, row) }
    }
    var captions: [String] = []
    var numbers: [[String]: Range<Int>] = [:]
    let samples = survey.samples.compactMap { sample -> LatentCache.Sample? in
      guard let picture = survey.pictures[sample.file], let own = keys[sample.file], let place = rows[own[0]] else {
        return nil
      }
      if numbers[sample.captions] == nil {
        numbers[sample.captions] = captions.count..<captions.count + sample.captions.count
        captions += sample.captions
      }
      return LatentCache.Sample(
        file: sample.file, size: place.size, row: place.row, variants: own.count, isValidation: picture.isValidation,
        repeats: sample.repeats, original: sample.originalSize ?? facts[own[0]]?.original ?? [0, 0],
        captions: numbers[sample.captions] ?? 0..<0)
    }
    return LatentCacheContents(
      sizes: sizes, samples: samples, captions: captions, tokens: { tokens(captions) }, attributes: try attributes())
  }

  private func tokens(_ captions: [String]) -> [(numbers: [Int], empty: [Int])] {
    let framed = captions.map { recipe.pictures.captions.framed($0) }
    return tokenizers.map { (Captions.tokens(framed, $0), $0("")) }
  }

  private func attributes() throws -> [String: AttributeValue] {
    func text(_ value: some Encodable) throws -> AttributeValue {
      .string(String(decoding: try JSONEncoder.sorted.encode(value), as: UTF8.self))
    }
    return [
      "vae": .string(encoder.identity), "scaling_factor": .double(Double(encoder.configuration.scalingFactor)),
      "shift_factor": .double(Double(encoder.configuration.shiftFactor)),
      "magnification": .integer(encoder.magnification), "resolution": .integer(settings.resolution),
      "pictures": try text(recipe.pictures), "seed": .string("\(recipe.seed)"),
      "unusable": try text(survey.unusable), "cut_captions": .integer(cutCaptions),
    ]
  }

}
