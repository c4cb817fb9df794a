internal import Checkpoints
import Foundation
import Kernels
import Pictures
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training
import WeightFiles

/// Pictures to latents and captions to tokens, beside diffusers and transformers.
@Suite struct PictureLatentsTests {
  private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func vae(_ name: String) -> String {
    name == "emoji-sd"
      ? Self.repository.appending(path: "checkpoints/emoji-sd/vae").path
      : Self.repository.appending(path: "Tests/References/models/\(name)/vae").path
  }

  @Test func latentsAreThoseOfDiffusers() throws {
    let arrays = try PictureFixtures.arrays("latents.safetensors")
    let files = try PictureFixtures.cases("decode.json").reduce(into: [:]) {
      $0[$1["key"] as? String ?? ""] = $1["file"] as? String
    }
    let models = try #require(PictureFixtures.json("latents.json")["vae"] as? [String: [String: Any]])
    try #require(!models.isEmpty)
    let buckets = PictureFit.buckets(AspectBuckets(resolution: 64, step: 8, least: 32, most: 128))
    for (model, facts) in models.sorted(by: { $0.key < $1.key }) {
      let encoder = try PictureEncoder(ModelComponent(folder: vae(model)))
      #expect(encoder.magnification == facts["factor"] as? Int)
      let scale = encoder.configuration.scalingFactor
      for fixture in try PictureFixtures.cases("latents.json") {
        let name = try #require(fixture["picture"] as? String)
        let file = try #require(files[name])
        let picture = try PictureDecoder()(PictureFixtures.bytes("decode/\(file)")).picture
        for (key, fit) in [("bucketed", buckets), ("centre64", .square(64))] {
          let placement = try #require(fit.placement(of: PixelSize(picture.width, picture.height)))
          let prepared = fit.placed(picture, placement)
          // Profiles of colour and 16 bits may differ by their tolerance; latents then are those of our bytes.
          let expected = try arrays.integers("\(name)/\(key)").map { UInt8($0) }
          let bytes = largestDifference(prepared.bytes, expected)
          #expect(ParityCase("picture/prepared/\(name)/\(key)", error: bytes, bound: name.contains("p3") ? 2 : 0).holds)
          let exact = Picture(width: prepared.width, height: prepared.height, bytes: expected)
          let (mean, deviation) = encoder(exact)
          let stored = mean.elements.map { ($0 - encoder.configuration.shiftFactor) * scale }
          let logvar = deviation.elements.map { 2 * Float(log(Double($0))) }
          for (array, found) in [("mean", mean.elements), ("logvar", logvar), ("stored", stored)] {
            let key = "\(model)/\(name)/\(key)/\(array)"
            let error = relativeError(found, try arrays.floats(key).elements)
            #expect(ParityCase("picture/latents/\(key)", error: error, bound: 1e-5).holds)
          }
        }
      }
    }
  }

  @Test func pictureByPictureOrSideBySideGiveTheSameBits() throws {
    let encoder = try PictureEncoder(ModelComponent(folder: vae("emoji-sd")))
    let pictures = (0..<5).map { number in
      Picture(width: 64, height: 48, bytes: (0..<64 * 48 * 3).map { UInt8(truncatingIfNeeded: $0 &* (number + 3)) })
    }
    for (together, picture) in zip(encoder(pictures), pictures) {
      let alone = encoder(picture)
      #expect(together.mean.elements == alone.mean.elements)
      #expect(together.deviation.elements == alone.deviation.elements)
    }
  }

  @Test func tokensAreThoseOfTransformers() throws {
    let clip = try CLIPTokenizer(folder: References.path("tokenizer-clip"))
    let emoji = try CLIPTokenizer(
      folder: Self.repository.appending(path: "checkpoints/emoji-sd/tokenizer").path, length: 24)
    for fixture in try PictureFixtures.cases("captions.json", "captions") {
      let text = try #require(fixture["text"] as? String)
      // Where two of transformers' three tokenizers differ from the one that was asked, ours sides with them
      // (`PromptText`).
      if (fixture["otherwise_in"] as? [String])?.count ?? 0 > 1 { continue }
      let expected = try #require(fixture["ids_77"] as? [Int])
      let wanted = expected + [Int](repeating: try #require(fixture["pad_1"] as? Int), count: 77 - expected.count)
      #expect(clip(text) == wanted, "\(text)")
      if let numbers = fixture["emoji_24"] as? [Int] { #expect(emoji(text) == numbers, "\(text)") }
      let lost = max(0, clip.words(text).count - 75)
      #expect(lost == fixture["lost"] as? Int ?? 0, "\(text)")
    }
  }
}
