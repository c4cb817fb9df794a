internal import Archives
package import Foundation
internal import Jobs
internal import PackageFuzzing
internal import PictureSets
internal import Pictures
internal import StableDiffusion

/// The readers of files from strangers, each fed with any bytes by a fuzzer or a test.
package enum FuzzedReader: String, CaseIterable, Sendable {
  /// Packages and compiled models; see `PackageInput`.
  case package
  /// By their content: single files, adapters, embeddings, components.
  case safetensors, torch, gguf
  case checkpoint
  /// `sdtune-latents`, both formats.
  case latents
  case recipe
  /// Of every part of a model, and of its scheduler.
  case configuration
  /// `tokenizer.json`, or `vocab.json` and `merges.txt` around the first zero byte.
  case tokenizer
  /// PNG, JPEG, WebP.
  case picture
  /// `metadata.jsonl`, or `metadata.csv` where the first byte is no brace.
  case metadata
  /// Of packages and of pictures.
  case archive

  /// Where good inputs lie, below the repository.
  package var seeds: [String] {
    switch self {
    case .package: ["Tests/MILRuntimeTests/FuzzCorpus"]
    case .safetensors: ["Tests/WeightFilesTests/Fixtures", "Tests/ModelsTests/ModelFiles"]
    case .torch: ["Tests/ModelsTests/ModelFiles/pickle"]
    case .gguf: ["Tests/ModelsTests/ModelFiles/gguf"]
    case .checkpoint, .latents: ["Tests/CheckpointsTests/Fixtures"]
    case .recipe: ["recipes"]
    case .configuration: ["Tests/ModelsTests/ModelFiles/config", "Tests/ModelsTests/Variants"]
    case .tokenizer: ["Tests/ModelsTests/ModelFiles/tokenizer"]
    case .picture: ["Tests/PicturesTests/Fixtures/decode", "Tests/PicturesTests/Fixtures/broken"]
    case .metadata: ["Tests/PicturesTests/Fixtures/captions"]
    case .archive: ["Tests/PictureSetsTests/Archives"]
    }
  }

  /// Feeds the reader.
  ///
  /// - Parameter folder: a scratch folder that the reader has to itself.
  /// - Precondition: an error says something; a finding stops the process.
  package func read(_ bytes: Data, in folder: String) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try read(bytes, folder)
    } catch {
      precondition(!"\(error)".isEmpty, "an error without words")
    }
  }

  private func read(_ bytes: Data, _ folder: String) throws {
    func write(_ name: String, _ bytes: Data) throws -> String {
      try bytes.write(to: URL(filePath: "\(folder)/\(name)"))
      return "\(folder)/\(name)"
    }
    switch self {
    case .package:
      try PackageInput(bytes).write(to: folder + "/x.mlpackage")
      _ = tryPackage(folder + "/x.mlpackage")
      _ = try Inspection.verified(folder + "/x.mlpackage")
    case .safetensors: _ = try Inspection.verified(try write("x.safetensors", bytes))
    case .torch: _ = try Inspection.verified(try write("x.ckpt", bytes))
    case .gguf: _ = try Inspection.verified(try write("x.gguf", bytes))
    case .checkpoint, .latents: _ = try Inspection.verified(try write("x.h5", bytes))
    case .recipe: _ = try Inspection.verified(try write("x.json", bytes))
    case .configuration: try configurations(try JSONConfiguration(file: try write("config.json", bytes)))
    case .tokenizer:
      let names = ["tokenizer.json", "vocab.json", "merges.txt"]
      for name in names { try? FileManager.default.removeItem(atPath: "\(folder)/\(name)") }
      let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { for (name, part) in zip(names.dropFirst(), parts) { _ = try write(name, part) } }
      if parts.count == 1 { _ = try write(names[0], bytes) }
      let tokenizer = try CLIPTokenizer(try TokenizerFiles(folder: folder))
      _ = tokenizer("A photo of a cat, 42 naïve 猫s!")
    case .picture: _ = try PictureDecoder(mostPixels: 1 << 20)([UInt8](bytes))
    case .metadata:
      for name in ["metadata.jsonl", "metadata.csv"] {
        try? FileManager.default.removeItem(atPath: "\(folder)/\(name)")
      }
      _ = try write("a.png", Self.smallPicture)
      _ = try write(bytes.first == UInt8(ascii: "{") ? "metadata.jsonl" : "metadata.csv", bytes)
      _ = try PictureSet(folder)
    case .archive:
      let path = try write("x.zip", bytes)
      if let archive = try UnpackedArchive(path) { _ = try archive.unpacked(anew: true) }
      _ = try PictureSet(path)
      _ = try PictureSet(try write("x.tar", bytes))
    }
  }

  private static let smallPicture = (try? PNGFile.encode(Picture(width: 1, height: 1, bytes: [1, 2, 3]))) ?? Data()

  /// Every part takes the same file for its own.
  private func configurations(_ json: JSONConfiguration) throws {
    var first: (any Error)?
    for read in [
      { _ = try UNetConfiguration(json) }, { _ = try UNetConfiguration(controlNet: json) },
      { _ = try TextEncoderConfiguration(json) }, { _ = try AutoencoderConfiguration(json) },
      { _ = try NoiseSchedule(json) }, { _ = try SamplerConfiguration(json) },
    ] as [() throws -> Void] {
      do { try read() } catch {
        precondition(!"\(error)".isEmpty, "an error without words")
        first = first ?? error
      }
    }
    if let first { throw first }
  }
}
