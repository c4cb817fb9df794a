internal import Digests
internal import Files
internal import Foundation
internal import Kernels
package import PictureSets
internal import Pictures
internal import Recipes

/// What is known of a set of pictures before any is encoded: which can be used, by content and size, and which not.
package struct PictureSurvey: Sendable {
  /// A picture that can be used.
  struct Picture: Sendable {
    /// SHA-256 of the file.
    let digest: [UInt8]
    /// Upright, as decoded; nil where its latents are known already, and it was not decoded.
    let size: PixelSize?
    let isValidation: Bool
  }

  package let set: PictureSet
  /// By file.
  let pictures: [String: Picture]
  /// Those whose pictures can be used, without other splits.
  let samples: [PictureSample]
  package let unusable: [UnusablePicture]
  /// What a person should know, a line each.
  package let warnings: [String]

  package var usable: Int { pictures.count }

  /// Progress: files looked at, and of how many.
  package typealias Progress = (Int, Int) -> Void

  /// Reads every picture once.
  ///
  /// - Parameters:
  ///   - isKnown: whether latents of a file's content are there already; it is then not decoded.
  /// - Throws: ``TrainingError`` where captions are missing that must not be, or when asked to stop.
  init(
    _ path: String, _ recipe: PictureRecipe, seed: UInt64, _ settings: PictureSettings,
    isKnown: @Sendable (_ digest: String, _ isValidation: Bool) -> Bool, isInterrupted: () -> Bool, progress: Progress
  ) throws {
    let set = try PictureSet(path, PictureSet.Options(recipe.captions))
    self.set = set
    var warnings = set.warnings
    let (samples, others) = try Self.chosen(set, recipe.captions)
    warnings += others
    let files = Set(samples.map(\.file))
    let given = Set(samples.filter { $0.split == .validation }.map(\.file))
    let ranked = given.isEmpty ? Self.ranked(files, seed: seed) : []
    let count = max(1, Int((recipe.validation * Double(files.count)).rounded()))
    let validation = given.isEmpty ? Set(ranked.prefix(max(0, min(count, files.count - 1)))) : given
    let decoder = PictureDecoder(background: settings.background)

    var found: [String: Picture] = [:]
    var unusable = set.unusable
    var waiting: [(file: String, bytes: [UInt8])] = []
    var waitingBytes = 0
    func look() {
      let files = waiting
      let results = Parallel.map(files.count) { index -> Result<(Picture, [String]), UnusablePicture> in
        let (file, bytes) = files[index]
        let isValidation = validation.contains(file)
        return Self.look(bytes, isValidation: isValidation, settings, decoder, isKnown)
          .mapError { UnusablePicture(file: file, reason: $0.reason) }
      }
      for (waited, result) in zip(waiting, results) {
        switch result {
        case .success(let (picture, told)):
          found[waited.file] = picture
          warnings += told.map { "\(waited.file): \($0)".onOneLine }
        case .failure(let failure): unusable.append(failure)
        }
      }
      waiting = []
      waitingBytes = 0
    }
    try set.read(files) { file, bytes in
      switch bytes {
      case .success(let bytes):
        waiting.append((file, bytes))
        waitingBytes += bytes.count
      case .failure(let failure): unusable.append(failure)
      }
      if waiting.count >= 64 || waitingBytes > 32 << 20 {
        look()
        progress(found.count + unusable.count, files.count + set.unusable.count)
      }
      if isInterrupted() { throw TrainingError.stopped(what: "looking at the pictures; the same command begins again") }
      return true
    }
    look()
    // What vanished while it was read.
    let seen = Set(found.keys).union(unusable.map(\.file))
    unusable += files.subtracting(seen).sorted().map { UnusablePicture(file: $0, reason: "it is no longer there") }
    progress(files.count + set.unusable.count, files.count + set.unusable.count)
    // Where all that were chosen cannot be used, another one is.
    if given.isEmpty, found.count > 1, !found.values.contains(where: \.isValidation),
      let file = ranked.first(where: { found[$0] != nil }), let picture = found[file]
    {
      found[file] = Picture(digest: picture.digest, size: picture.size, isValidation: true)
    }
    pictures = found
    self.samples = samples.filter { found[$0.file] != nil }
    self.unusable = unusable.sorted { $0.file < $1.file }
    self.warnings = warnings
  }

  private struct Reason: Error { let reason: String }

  private static func look(
    _ bytes: [UInt8], isValidation: Bool, _ settings: PictureSettings, _ decoder: PictureDecoder,
    _ isKnown: (String, Bool) -> Bool
  ) -> Result<(Picture, [String]), Reason> {
    let digest = SHA256.of(bytes)
    if isKnown(SHA256.text(digest), isValidation) {
      return .success((Picture(digest: digest, size: nil, isValidation: isValidation), []))
    }
    do throws(PictureError) {
      let decoded = try decoder(bytes)
      let size = PixelSize(decoded.picture.width, decoded.picture.height)
      let fit = isValidation ? settings.forValidation.fit : settings.fit
      guard fit.placement(of: size) != nil else {
        return .failure(
          Reason(reason: "\(size) pixels are less than a bucket's step, and pictures.buckets.enlarge is false"))
      }
      return .success((Picture(digest: digest, size: size, isValidation: isValidation), decoded.warnings))
    } catch {
      return .failure(Reason(reason: "\(error)"))
    }
  }

  /// The samples to train and to validate on.
  private static func chosen(
    _ set: PictureSet, _ captions: CaptionRecipe
  ) throws -> (samples: [PictureSample], warnings: [String]) {
    var warnings: [String] = []
    let used = set.samples.filter { $0.split != .test }
    if used.count < set.samples.count {
      warnings.append("\(set.samples.count - used.count) pictures of a test split are not used")
    }
    let missing = used.filter { $0.captions.isEmpty }
    switch captions.missing {
    case _ where missing.isEmpty: break
    case .refuse:
      throw TrainingError.mismatch(
        what: set.path, expected: "a caption for every picture (pictures.captions.missing is refuse)",
        found: "\(missing.count) without, first \(missing[0].file)")
    case .skip:
      warnings.append("\(missing.count) pictures without a caption are left out")
      return (used.filter { !$0.captions.isEmpty }, warnings)
    case .empty, .fileName:
      warnings.append("\(missing.count) of \(used.count) pictures are trained with the empty prompt")
    }
    return (used, warnings)
  }

  /// Files in the order in which they are chosen for validation: by seed and name, so that pictures that are added move
  /// no others.
  private static func ranked(_ files: Set<String>, seed: UInt64) -> [String] {
    files.map { (rank: SHA256.of("\(seed) \($0)".utf8), file: $0) }
      .sorted { $0.rank.lexicographicallyPrecedes($1.rank) }.map(\.file)
  }
}

extension PictureSet.Options {
  init(_ recipe: CaptionRecipe) {
    self.init()
    allLines = recipe.lines == .all
    fileNames = recipe.missing == .fileName
    column = recipe.column.isEmpty ? nil : recipe.column
  }
}
