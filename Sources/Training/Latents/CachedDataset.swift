internal import Checkpoints
internal import Recipes
internal import StableDiffusion

extension LatentDataset {
  /// A split of a cache.
  ///
  /// - Parameters:
  ///   - recipe: of captions, and whether latents are drawn from the posterior.
  ///   - tokenizers: of the model.
  /// - Throws: ``TrainingError/mismatch`` if the split has no pictures.
  init(
    _ cache: LatentCache, _ split: Split, _ recipe: PictureRecipe, _ tokenizers: [CLIPTokenizer]
  ) throws {
    let samples = cache.samples.filter { $0.isValidation == (split == .validation) }
    guard !samples.isEmpty else {
      throw TrainingError.mismatch(what: cache.path, expected: "pictures of the split \(split.rawValue)", found: "none")
    }
    var sizes: [Size] = []
    for (index, size) in cache.sizes.enumerated() {
      let own = samples.filter { $0.size == index }
      guard !own.isEmpty else { continue }
      sizes.append(Size(size, own))
    }
    guard split == .train || sizes.count == 1 else {
      throw TrainingError.mismatch(
        what: "\(cache.path): validation pictures", expected: "one size", found: "\(sizes.count)")
    }
    let rows = LatentsOfCache(
      cache: cache, numbers: cache.sizes.indices.filter { index in samples.contains { $0.size == index } },
      scale: Float(cache.number("scaling_factor") ?? 1), shift: Float(cache.number("shift_factor") ?? 0),
      samples: recipe.sample && split == .train)
    self.init(
      sizes, try Self.captions(cache, recipe.captions, tokenizers), rows, name: cache.path,
      magnification: cache.magnification)
  }

  /// The tokens of the file, where they are those of this recipe and these tokenizers; else new ones.
  private static func captions(
    _ cache: LatentCache, _ recipe: CaptionRecipe, _ tokenizers: [CLIPTokenizer]
  ) throws -> Captions {
    let framed = cache.captions.map { recipe.framed($0) }
    let stored = try cache.tokens()
    let isSame =
      stored.count == tokenizers.count && !framed.isEmpty
      && zip(stored, tokenizers).allSatisfy { tokens, tokenizer in
        // Every caption anew would cost more than the first ones, which tell other rules and vocabularies apart.
        tokens.shape == [framed.count, tokenizer.length]
          && [0, framed.count / 2, framed.count - 1].allSatisfy {
            Array(tokens.values[$0 * tokenizer.length..<($0 + 1) * tokenizer.length]) == tokenizer(framed[$0])
          }
      }
    return Captions(framed, recipe, tokenizers, tokens: isSame ? stored.map(\.values) : nil)
  }
}

extension LatentDataset.Size {
  fileprivate init(_ size: LatentCache.Size, _ samples: [LatentCache.Sample]) {
    shape = size.shape
    self.samples = samples.map { sample in
      LatentDataset.Sample(
        rows: Int32(sample.row)..<Int32(sample.row + sample.variants),
        captions: Int32(sample.captions.lowerBound)..<Int32(sample.captions.upperBound),
        original: SIMD2(Int32(clamping: sample.original[0]), Int32(clamping: sample.original[1])))
    }
    drawn = samples.enumerated().flatMap { [Int32](repeating: Int32($0.offset), count: $0.element.repeats) }
    crops = (0..<size.count).map { SIMD2(Int32(clamping: size.facts[4 * $0]), Int32(clamping: size.facts[4 * $0 + 1])) }
  }
}
