internal import Files
internal import Foundation
internal import Models
internal import PictureSets
internal import Pictures
internal import StableDiffusion
internal import Tensors
internal import Training

/// A page with pictures beside what the model sees of them: decoded back from their latents, with their captions.
struct LatentSheet {
  private let samples: [LatentCache.View]
  private let set: PictureSet
  private let settings: PictureSettings
  private let cache: LatentCache
  private let decoder: AutoencoderDecoder

  private static let usualCount = 64

  init(cache path: String, set: PictureSet, settings: PictureSettings, model: ModelSource) throws {
    cache = try LatentCache(path)
    samples = cache.views
    self.set = set
    self.settings = settings
    decoder = try model.component(.vae).autoencoder().decoder
  }

  /// - Parameter every: so-many-th pictures; 0 for about 64 in all.
  func write(to path: String, every: Int) throws {
    let step = every > 0 ? every : max(1, samples.count / Self.usualCount)
    let chosen = stride(from: 0, to: samples.count, by: step).map { samples[$0] }
    var originals: [String: Picture] = [:]
    let files = Set(chosen.map(\.file))
    let reader = PictureDecoder(background: settings.background)
    try set.read(files) { file, bytes in
      if let bytes = try? bytes.get(), let decoded = try? reader(bytes) {
        originals[file] = decoded.picture.small(256)
      }
      return originals.count < files.count
    }
    let rows = try chosen.map { sample in
      let latents = try cache.mean(sample).channelsLast()
      let seen = Picture(values: Execution.withoutGradients { decoder(latents).channelsFirst() })
      return try row(sample, originals[sample.file], seen.small(256))
    }
    let body = """
      <p><code>\(HTMLPage.escaped(set.path))</code>: \(chosen.count) of \(samples.count) pictures: on the left the file, on the right what the model sees, decoded back
      from its latent.</p>
      <table>\(rows.joined(separator: "\n"))</table>
      """
    let page = HTMLPage(title: "Pictures as latents", style: "td { text-align: left }", body: body)
    try AtomicFile(path: path).write(Data(page.html.utf8))
  }

  private func row(_ sample: LatentCache.View, _ original: Picture?, _ seen: Picture) throws -> String {
    func image(_ picture: Picture?) throws -> String {
      guard let picture else { return "not there any more" }
      let data = try PNGFile.encode(picture).base64EncodedString()
      return "<img alt=\"\" src=\"data:image/png;base64,\(data)\">"
    }
    let texts = sample.captions.isEmpty ? "no caption" : sample.captions.map(HTMLPage.escaped).joined(separator: "<br>")
    return """
      <tr><td>\(try image(original))</td><td>\(try image(seen))</td>
      <td>\(texts)<br><small>\(HTMLPage.escaped(sample.file)), \(sample.size)\(sample.isValidation ? ", validation" : "")</small></td></tr>
      """
  }
}

extension Picture {
  /// The picture with no side longer than a limit.
  fileprivate func small(_ limit: Int) -> Picture {
    let longest = max(width, height)
    guard longest > limit else { return self }
    return resized(width: max(1, width * limit / longest), height: max(1, height * limit / longest), .area)
  }
}
