package import Foundation
internal import PictureSets
package import Recipes
internal import StableDiffusion
internal import Tensors

/// The samples of a run, of whatever kind its data is.
package struct RunData: Sendable {
  package let training: LatentDataset
  package let validation: LatentDataset
  package let prior: LatentDataset?
  /// Whether both splits number the same captions.
  let sharesCaptions: Bool
  /// The model's, where they were needed already.
  let encoders: [TextEncoder]?

  /// What long work is done meanwhile, and where its results stay.
  package struct Work {
    /// The latents' file for a set of pictures.
    package let cache: (_ data: String) throws -> String
    /// The folder that keeps the teacher's latents; nil to keep nothing.
    package let teacherLatents: String?
    package let isInterrupted: @Sendable () -> Bool
    package let progress: PicturePreparation.Progress
    /// Whether sets of pictures are prepared here; otherwise another process has done it.
    package let prepares: Bool
    /// Told before the first picture is encoded; may refuse them.
    package let surveyed: (PicturePreparation) throws -> Void

    package init(
      cache: @escaping (_ data: String) throws -> String, teacherLatents: String?,
      isInterrupted: @escaping @Sendable () -> Bool, progress: @escaping PicturePreparation.Progress,
      prepares: Bool = true, surveyed: @escaping (PicturePreparation) throws -> Void
    ) {
      self.prepares = prepares
      self.cache = cache
      self.teacherLatents = teacherLatents
      self.isInterrupted = isInterrupted
      self.progress = progress
      self.surveyed = surveyed
    }
  }

  /// Data of any kind; pictures are encoded where they are not yet.
  package init(_ recipe: Recipe, _ model: TuningModel, folder: URL, _ work: Work) throws {
    let encoders = recipe.training.latents == .teacher ? try ModelText.encoders(model.source) : nil
    let source = try DataSource(recipe.path(recipe.data, in: folder))
    var (training, validation, shares) = try Self.splits(source, recipe, model, work)
    if recipe.training.latents == .teacher, let encoders {
      let teacher = try TeacherLatents(recipe, model, encoders)
      let unet = model.unet.configuration
      var shape = [unet.inputChannels, unet.sampleHeight, unet.sampleWidth]
      if case .prompts = source {} else { shape = validation?.shapes[0] ?? training.shapes[0] }
      let latents = try teacher(
        training.captions, "training", count: min(training.captions.count, recipe.training.teacherPictures),
        shape: shape, kept: work.teacherLatents, isInterrupted: work.isInterrupted, progress: work.progress)
      training = LatentDataset(training, latents: latents)
      if case .prompts = source, let split = validation {
        let latents = try teacher(
          split.captions, "validation", count: split.captions.count, shape: shape,
          // A folder of its own: latents of other prompts would be taken for those of other work.
          kept: work.teacherLatents.map { $0 + "-validation" },
          isInterrupted: work.isInterrupted, progress: work.progress)
        validation = LatentDataset(split, latents: latents)
      }
      shares = false
    }
    self.training = training
    self.validation = validation ?? training
    sharesCaptions = shares
    self.encoders = encoders
    prior =
      recipe.prior.data.isEmpty
      ? nil
      : try Self.splits(
        DataSource(recipe.path(recipe.prior.data, in: folder)), recipe.forPrior, model, work
      ).training
  }

  /// Data that needs no preparation: what is left to prepare is refused.
  package init(prepared recipe: Recipe, model: TuningModel, folder: URL) throws {
    let path = recipe.path(recipe.data, in: folder)
    let source = try DataSource(path)
    if case .pictures = source {
      throw TrainingError.mismatch(
        what: path, expected: "latents: sdtune prepare makes them of pictures", found: "pictures")
    }
    try self.init(
      recipe, model, folder: folder,
      Work(cache: { $0 }, teacherLatents: nil, isInterrupted: { false }, progress: { _, _, _ in }, surveyed: { _ in }))
  }

  private static func splits(
    _ source: DataSource, _ recipe: Recipe, _ model: TuningModel, _ work: Work
  ) throws -> (training: LatentDataset, validation: LatentDataset?, sharesCaptions: Bool) {
    switch source {
    case .latents(let path):
      let limit = recipe.evaluation.pictures
      let training = try LatentDataset(path: path, split: .train)
      let validation = try LatentDataset(path: path, split: .validation, limit: limit)
      guard training.shapes == validation.shapes else {
        throw TrainingError.mismatch(
          what: "\(path): validation latents", expected: "\(training.shapes[0]), as training's",
          found: "\(validation.shapes[0])")
      }
      return (training, validation, false)
    case .cache(let path):
      let cache = try LatentCache(path)
      try cache.check(vae: PictureEncoder.identity(model.source))
      return try splits(cache, recipe, ModelText.tokenizers(model.source))
    case .pictures(let path):
      let cache = try work.cache(path)
      guard work.prepares else {
        return try splits(LatentCache(cache), recipe, ModelText.tokenizers(model.source))
      }
      var preparation = try PicturePreparation(
        recipe, model: model.source, data: path, cache: cache, isInterrupted: work.isInterrupted,
        progress: work.progress)
      try work.surveyed(preparation)
      try preparation(isInterrupted: work.isInterrupted, progress: work.progress)
      return try splits(LatentCache(cache), recipe, preparation.tokenizers)
    case .prompts(let path):
      guard recipe.training.latents == .teacher else {
        throw TrainingError.mismatch(
          what: "training.latents", expected: "teacher, where the data is prompts alone", found: "data")
      }
      let prompts = try DataSource.prompts(of: path)
      let count = max(1, min(prompts.count - 1, Int(recipe.pictures.validation * Double(prompts.count))))
      let tokenizers = try ModelText.tokenizers(model.source)
      func dataset(_ prompts: [String]) -> LatentDataset {
        let framed = prompts.map { recipe.pictures.captions.framed($0) }
        return LatentDataset(prompts: Captions(framed, recipe.pictures.captions, tokenizers), name: path)
      }
      return (
        dataset(prompts.count > 1 ? Array(prompts.dropLast(count)) : prompts), dataset(Array(prompts.suffix(count))),
        false
      )
    }
  }

  private static func splits(
    _ cache: LatentCache, _ recipe: Recipe, _ tokenizers: [CLIPTokenizer]
  ) throws -> (training: LatentDataset, validation: LatentDataset?, sharesCaptions: Bool) {
    (
      try LatentDataset(cache, .train, recipe.pictures, tokenizers),
      try LatentDataset(cache, .validation, recipe.pictures, tokenizers), true
    )
  }
}

extension LatentDataset {
  /// Prompts whose latents are still to be made.
  init(prompts: Captions, name: String) {
    self.init(
      [Size(shape: [1, 1, 1], count: prompts.count)], prompts,
      LatentsInMemory(latents: Tensor(repeating: 0, shape: [1, 1, 1, 1])), name: name, magnification: 8)
  }
}

extension RunData {
  /// What a run keeps of its data, in bytes: states of the text and the validation pictures' latents; others are read
  /// when they are used.
  ///
  /// - Parameters:
  ///   - tokens: of a prompt.
  ///   - features: of the text's states.
  package static func bytes(_ recipe: Recipe, folder: URL, tokens: Int, features: Int) throws -> Int {
    let path = recipe.path(recipe.data, in: folder)
    let prompts: [Int]
    switch try DataSource(path) {
    case .latents:
      prompts = try [LatentDataset.Split.train, .validation].map { try LatentDataset.count(path: path, $0) }
    case .cache: prompts = [try LatentCache(path).captions.count]
    case .pictures: prompts = [try PictureSet(path).samples.count]
    case .prompts: prompts = [try DataSource.prompts(of: path).count]
    }
    return prompts.reduce(0) { $0 + (TextStates.bytes(prompts: $1, tokens: tokens, features: features) ?? 0) }
  }
}

extension RunData {
  /// What a recipe's data is, by names and extents alone.
  package static func inWords(_ recipe: Recipe, folder: URL) throws -> String {
    let path = recipe.path(recipe.data, in: folder)
    switch try DataSource(path) {
    case .latents: return "\(try LatentDataset.count(path: path, .train)) pictures' latents to train on"
    case .cache: return "\(try LatentCache(path).samples.count) prepared pictures"
    case .prompts: return "\(try DataSource.prompts(of: path).count) prompts"
    case .pictures:
      let set = try PictureSet(path)
      return "\(set.samples.count) pictures (\(set.layout.rawValue)); sdtune prepare --dry-run looks at each"
    }
  }
}

extension Recipe {
  /// The same for the pictures that the model must not forget: their captions have no trigger word.
  fileprivate var forPrior: Recipe {
    var recipe = self
    (recipe.pictures.captions.prefix, recipe.pictures.captions.suffix) = ("", "")
    recipe.pictures.captions.column = ""
    return recipe
  }
}
