internal import Checkpoints
internal import Digests
internal import Foundation
internal import Kernels
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
  private let recipe: Recipe
  private let known: LatentCache?
  /// Where the known latents of a key are.
  private let places: [String: (size: Int, row: Int)]
  private var parts: LatentParts
  private let lock: FileLock

  /// Progress with the seconds left, where they are known.
  package typealias Progress = (_ stage: String, _ done: Int, _ of: Int) -> Void

  /// Looks at every picture; nothing is encoded yet.
  ///
  /// - Parameters:
  ///   - model: the model's folder in diffusers' layout.
  ///   - data: the set.
  ///   - cache: the file to write.
  package init(
    _ recipe: Recipe, model: String, data: String, cache: String, isInterrupted: () -> Bool, progress: Progress
  ) throws {
    self.recipe = recipe
    self.cache = cache
    encoder = try PictureEncoder(model + "/vae")
    tokenizers = try ModelText.tokenizers(model)
    settings = try PictureSettings(
      recipe.pictures, seed: recipe.seed, unet: UNetConfiguration(folder: model + "/unet"),
      magnification: encoder.magnification)
    let folder = URL(filePath: cache).deletingLastPathComponent().path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let work = cache + ".parts"
    try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
    lock = try FileLock(
      work + "/lock", busy: "\(cache): another process prepares it: wait for it, or choose another file")
    let known = try Self.known(cache, encoder)
    self.known = known
    var places: [String: (size: Int, row: Int)] = [:]
    for (index, size) in (known?.sizes ?? []).enumerated() {
      for (row, key) in size.keys.enumerated() { places[key] = (index, row) }
    }
    self.places = places
    let parts = try LatentParts(work, identity: encoder.identity)
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
  }

  /// What is in the file already; another VAE's latents are of no use.
  private static func known(_ path: String, _ encoder: PictureEncoder) throws -> LatentCache? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let cache = try LatentCache(path)
    guard cache.text("vae") == encoder.identity else {
      throw TrainingError.mismatch(
        what: path, expected: "latents of this model's VAE (\(encoder.identity.prefix(12)))",
        found: "those of another (\(cache.text("vae")?.prefix(12) ?? "unknown")): choose another file, or delete it")
    }
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
    guard survey.usable != 1 else {
      throw .mismatch(
        what: survey.set.path, expected: "two pictures at least, of which one is for validation", found: "one")
    }
    guard survey.usable > 0, Double(bad) <= recipe.pictures.unusable * Double(all) else {
      throw .unusable(
        set: survey.set.path, count: bad, of: all, first: survey.unusable.first.map { "\($0)" } ?? "none", list: list)
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
      if batch.reduce(0, { $0 + $1.tasks.count }) >= most { try finish() }
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

  private func latents(_ key: String) throws -> (mean: Buffer, deviation: Buffer, facts: [Int]) {
    if let place = places[key], let known {
      let facts = known.sizes[place.size].facts[place.row * 4..<place.row * 4 + 4]
      return (
        try known.row("mean", place.size, place.row), try known.row("deviation", place.size, place.row), Array(facts)
      )
    }
    guard let mean = try parts.read(key, "mean"), let deviation = try parts.read(key, "deviation"),
      let facts = try parts.read(key, "facts")
    else { throw CheckpointError.missing(file: parts.folder, item: "latents \(key)") }
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
      throw CheckpointError.missing(file: parts.folder, item: "latents \(key)")
    }
    return (mean.shape.axes, facts.elements.suffix(2).map { Int($0) })
  }

  /// The whole file, once everything is encoded.
  private func contents() throws -> LatentCacheContents {
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
      sizes: sizes, samples: samples, captions: captions, tokens: tokens(captions), attributes: try attributes())
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

  /// Of a prompt, for the first text encoder.
  package var tokenCount: Int { tokenizers.first?.length ?? 0 }

  /// Samples' captions that are longer than the first tokenizer's prompts.
  package var cutCaptions: Int {
    guard let tokenizer = tokenizers.first else { return 0 }
    let texts = Set(survey.samples.flatMap(\.captions)).map { recipe.pictures.captions.framed($0) }
    return Parallel.map(texts.count) { tokenizer.words(texts[$0]).count > tokenizer.length - 2 ? 1 : 0 }.reduce(0, +)
  }
}
