internal import Checkpoints
internal import Digests
internal import Foundation
internal import Kernels
package import Models
internal import PictureSets
internal import Pictures
package import Recipes
internal import StableDiffusion
internal import Tensors

/// Brings a set of pictures into a cache of latents: what is there already stays, what is new is encoded, and the file is
/// a function of the pictures, the VAE, the tokenizers and the recipe alone, however often the work was cut short.
package struct PicturePreparation {
  package let cache: String
  package let survey: PictureSurvey
  package let settings: PictureSettings
  let encoder: PictureEncoder
  let tokenizers: [CLIPTokenizer]
  /// Different captions that are longer than the first tokenizer's prompts.
  package let cutCaptions: Int
  let recipe: Recipe
  let known: LatentCache?
  /// Where the known latents of a key are.
  let places: [String: (size: Int, row: Int)]
  private(set) var parts: LatentParts
  private let work: WorkFolder

  /// Progress with the seconds left, where they are known.
  package typealias Progress = (_ stage: String, _ done: Int, _ of: Int) -> Void

  /// Looks at every picture; nothing is encoded yet.
  ///
  /// - Parameters:
  ///   - data: the set.
  ///   - cache: the file to write.
  package init(
    _ recipe: Recipe, model: ModelSource, data: String, cache: String, isInterrupted: () -> Bool, progress: Progress
  ) throws {
    self.recipe = recipe
    self.cache = cache
    encoder = try PictureEncoder(model)
    tokenizers = try ModelText.tokenizers(model)
    settings = try PictureSettings(
      recipe.pictures, seed: recipe.seed, unet: model.unetConfiguration(),
      magnification: encoder.magnification)
    work = try WorkFolder(
      cache + ".parts", busy: "\(cache): another process prepares it: wait for it, or choose another file")
    let known = try Self.known(cache, encoder)
    self.known = known
    var places: [String: (size: Int, row: Int)] = [:]
    for (index, size) in (known?.sizes ?? []).enumerated() {
      for (row, key) in size.keys.enumerated() { places[key] = (index, row) }
    }
    self.places = places
    let parts = try LatentParts(work.path, identity: encoder.identity)
    self.parts = parts
    let (settings, validation, keys) = (settings, settings.forValidation, places)
    survey = try PictureSurvey(
      data, recipe.pictures, seed: recipe.seed, settings,
      isKnown: { digest, isValidation in
        let settings = isValidation ? validation : settings
        return settings.variants.allSatisfy {
          let key = settings.key(digest, $0)
          return keys[key] != nil || parts.contains(key)
        }
      }, isInterrupted: isInterrupted, progress: { progress("looking at the pictures", $0, $1) })
    cutCaptions = Self.cutCaptions(survey, recipe.pictures.captions, tokenizers)
  }

  /// Of a prompt, for the first text encoder.
  package var tokenCount: Int { tokenizers.first?.length ?? 0 }

  private static func cutCaptions(
    _ survey: PictureSurvey, _ recipe: CaptionRecipe, _ tokenizers: [CLIPTokenizer]
  ) -> Int {
    guard let tokenizer = tokenizers.first else { return 0 }
    let texts = Set(survey.samples.flatMap(\.captions)).map { recipe.framed($0) }
    return Parallel.map(texts.count) { tokenizer.words(texts[$0]).count > tokenizer.length - 2 ? 1 : 0 }.reduce(0, +)
  }

  /// What is in the file already; another VAE's latents are of no use.
  private static func known(_ path: String, _ encoder: PictureEncoder) throws -> LatentCache? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let cache = try LatentCache(path)
    try cache.check(vae: encoder.identity)
    return cache
  }

  /// One thing to encode.
  struct Task {
    let key: String
    let variant: PictureSettings.Variant
  }

  func settings(_ picture: PictureSurvey.Picture) -> PictureSettings {
    picture.isValidation ? settings.forValidation : settings
  }

  /// What of a picture has no latents yet.
  func missing(_ picture: PictureSurvey.Picture) -> [Task] {
    let settings = settings(picture)
    let digest = SHA256.text(picture.digest)
    return settings.variants.map { Task(key: settings.key(digest, $0), variant: $0) }
      .filter { places[$0.key] == nil && !parts.contains($0.key) }
  }

  /// Pictures, crops and mirror images that are still to be encoded.
  package var missingCount: Int {
    Set(survey.pictures.values.flatMap { missing($0).map(\.key) }).count
  }

  /// Refuses a set of which too much is unusable.
  ///
  /// - Parameter list: the file that names all of them.
  package func check(list: String) throws(TrainingError) {
    let (bad, all) = (survey.unusable.count, survey.unusable.count + survey.usable)
    let validation = survey.pictures.values.count(where: \.isValidation)
    guard bad > 0 || survey.usable > 0 else {
      throw .mismatch(
        what: survey.set.path, expected: "pictures to train on", found: "none that count, by its splits and captions")
    }
    guard survey.usable > 0, Double(bad) <= recipe.pictures.unusable * Double(all) else {
      throw .unusable(
        set: survey.set.path, count: bad, of: all, first: survey.unusable.first.map { "\($0)" } ?? "none", list: list)
    }
    guard validation > 0, validation < survey.usable else {
      throw .mismatch(
        what: survey.set.path, expected: "pictures for training and for validation",
        found: "\(survey.usable - validation) and \(validation) that can be used")
    }
  }

  /// Encodes what is missing, and writes the file if it is to change.
  ///
  /// - Throws: ``TrainingError/stopped(what:)`` when asked to stop; what is done by then is kept.
  package mutating func callAsFunction(isInterrupted: () -> Bool, progress: Progress) throws {
    try encode(isInterrupted: isInterrupted, progress: progress)
    let contents = try contents()
    if known.map({ contents.isHeld(by: $0) }) != true {
      let count = contents.sizes.reduce(0) { $0 + $1.keys.count }
      try contents.write(to: cache, { try latents($0) }) { progress("writing \(cache)", $0, count) }
    }
    parts.remove()
  }

  private mutating func encode(isInterrupted: () -> Bool, progress: Progress) throws {
    let total = missingCount
    guard total > 0 else { return }
    let files = Set(survey.pictures.filter { !missing($0.value).isEmpty }.keys)
    let decoder = PictureDecoder(background: settings.background)
    var done = 0
    var taken: Set<String> = []
    var batch: [Work] = []
    let most = max(1, min(64, (1 << 20) / (settings.resolution * settings.resolution)))
    var parts = self.parts
    func finish() throws {
      let works = batch
      let results = Parallel.map(works.count) { index in Result { try works[index].pictures(decoder) } }
      let prepared = try results.flatMap { try $0.get() }
      for part in (0..<prepared.count).cut(length: most) {
        let encoded = encoder(prepared[part].map(\.picture))
        try parts.write(
          zip(prepared[part], encoded).map { item, latents in
            for half in [latents.mean, latents.deviation] where !Elementwise.sumOfSquares(half.buffer).isFinite {
              throw TrainingError.mismatch(
                what: item.file, expected: "finite latents", found: "NaN or infinity from the model's VAE")
            }
            return (
              item.key,
              [
                ("mean", latents.mean), ("deviation", latents.deviation),
                ("facts", Tensor([4], item.facts.map(Float.init))),
              ]
            )
          })
        done += part.count
        progress("encoding", done, total)
        if isInterrupted() {
          throw TrainingError.stopped(what: "encoding; what is done is kept, the same command goes on")
        }
      }
      batch = []
    }
    defer { self.parts = parts }
    try survey.set.read(files) { file, bytes in
      guard let picture = survey.pictures[file] else { return true }
      let tasks = missing(picture).filter { taken.insert($0.key).inserted }
      guard !tasks.isEmpty else { return true }
      batch.append(
        Work(file: file, bytes: try bytes.get(), picture: picture, tasks: tasks, settings: settings(picture)))
      // Files wait to be decoded side by side, but not more of them than memory has room for.
      let waiting = batch.reduce((tasks: 0, bytes: 0)) { ($0.tasks + $1.tasks.count, $0.bytes + $1.bytes.count) }
      if waiting.tasks >= most || waiting.bytes > 16 << 20 { try finish() }
      return true
    }
    try finish()
  }

  /// A file with what is to be made of it.
  private struct Work: Sendable {
    let file: String
    let bytes: [UInt8]
    let picture: PictureSurvey.Picture
    let tasks: [Task]
    let settings: PictureSettings

    /// - Throws: if the file is not what it was when it was looked at.
    func pictures(
      _ decoder: PictureDecoder
    ) throws -> [(file: String, key: String, picture: Pictures.Picture, facts: [Int])] {
      guard SHA256.of(bytes) == picture.digest else {
        throw TrainingError.mismatch(
          what: file, expected: "what it was when it was looked at", found: "other content: is it being written?")
      }
      let decoded = try decoder(bytes).picture
      let size = PixelSize(decoded.width, decoded.height)
      return tasks.compactMap { task in
        settings.placement(of: size, digest: picture.digest, task.variant).map { placement in
          (
            file, task.key, settings.prepared(decoded, placement, task.variant),
            [placement.left, placement.top, size.width, size.height]
          )
        }
      }
    }
  }
}
