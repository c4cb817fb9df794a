import Files
import Foundation
import Kernels
import Layers
import Models
import StableDiffusion
import StrictJSON
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Networks of rare forms against diffusers; `make_unet_variants.py` says how they came about.
@Suite struct ModelVariantTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Variants").path
  static let unets = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
    !$0.hasPrefix("vae")
  }.sorted()

  @Test func thereAreVariants() { #expect(!Self.unets.isEmpty) }

  /// Bound 2e-5: torch in single precision lies some 1e-6 from double precision.
  @Test(arguments: unets)
  func answersAreDiffusers(name: String) throws {
    let scratch = try ScratchFolder()
    try FileManager.default.createSymbolicLink(
      atPath: scratch.file("unet"), withDestinationPath: "\(Self.folder)/\(name)")
    // A UNet that is told its guidance has it in its weights: 7.5 where nobody says otherwise.
    let unet = try ModelSource(scratch.path).component(.unet).unet().model
    let file = try SafetensorsFile(path: "\(Self.folder)/\(name)/io.safetensors")
    func tensor(_ name: String) throws -> Tensor {
      Tensor(Shape(try #require(file.shape(of: name))), try file.floats(name))
    }
    let (sample, timestep, context) = (
      try tensor("sample").channelsLast(), try tensor("timestep"), try tensor("encoder_hidden_states")
    )
    let y = Execution.withoutGradients { unet(sample, timestep: timestep, context: context).channelsFirst() }
    #expect(relativeError(y.elements, try file.floats("output").elements) < 2e-5)
    #expect(y.shape.axes[2...] == [unet.configuration.sampleHeight, unet.configuration.sampleWidth])
  }

  /// Mean and deviation of a VAE's latents are part of its weights: its users know the scaling factor alone.
  @Test func normalizedLatents() throws {
    let component = try ModelComponent(folder: Self.folder + "/vae-normalized")
    let (encoder, decoder) = try component.autoencoder()
    let scale = Double(decoder.configuration.scalingFactor)
    let file = try SafetensorsFile(path: Self.folder + "/vae-normalized/io.safetensors")
    func tensor(_ name: String) throws -> Tensor {
      Tensor(Shape(try #require(file.shape(of: name))), try file.floats(name))
    }
    let latents = Tensor.combination((1 / scale, try tensor("latents")))
    let image = try tensor("image").channelsLast()
    let (decoded, moments) = Execution.withoutGradients {
      (decoder(latents.channelsLast()).channelsFirst(), encoder(image).channelsFirst())
    }
    #expect(relativeError(decoded.elements, try file.floats("decoded").elements) < 1e-5)
    let half = moments.elements.count / 2
    #expect(
      relativeError(moments.elements.prefix(half).map { $0 * Float(scale) }, try file.floats("encoded").elements) < 1e-5
    )
    let deviations = moments.elements.suffix(half).map { exp($0 / 2) * Float(scale) }
    #expect(relativeError(deviations, try file.floats("deviation").elements) < 1e-5)
    #expect(!component.weights.notes.isEmpty)
  }

  // MARK: Configurations

  private func configuration(_ name: String, changing: [String: StrictJSON?]) throws -> JSONConfiguration {
    try JSONConfiguration(file: "\(Self.folder)/\(name)/config.json").replacing(changing)
  }

  /// A key that nobody reads is refused by name, whichever network's configuration it is in.
  @Test func unknownKeysAreRefused() throws {
    let unet = try configuration("oblong", changing: ["new_switch": .boolean(true)])
    #expect(message { _ = try UNetConfiguration(unet) }?.contains("'new_switch' is true") ?? false)
    #expect(throws: Never.self) { try UNetConfiguration(configuration("oblong", changing: ["new_switch": .null])) }
    let wide = try configuration("oblong", changing: ["time_embedding_dim": .integer(99)])
    #expect(message { _ = try UNetConfiguration(wide) }?.contains("time_embedding_dim") ?? false)
    let vae = try configuration("vae-normalized", changing: ["use_tiling_by_default": .integer(3)])
    #expect(message { _ = try AutoencoderConfiguration(vae) }?.contains("'use_tiling_by_default' is 3") ?? false)
    let encoder = try JSONConfiguration(file: References.path("models/sd1-tiny/text_encoder/config.json"))
    let changed = encoder.replacing(["quantization_config": .object([.init(key: "bits", value: .integer(4))])])
    #expect(message { _ = try TextEncoderConfiguration(changed) }?.contains("quantization_config") ?? false)
  }

  /// By its parts, whatever its index calls it.
  @Test(arguments: [("sd1-tiny", ModelFamily.base), ("sd2-tiny", .base), ("sdxl-tiny", .xl)])
  func families(model: String, family: ModelFamily) throws {
    let scratch = try ScratchFolder()
    let copy = scratch.file("model")
    try FileManager.default.copyItem(atPath: References.path("models/\(model)"), toPath: copy)
    for index in [nil, #"{"_class_name": ["some", "Pipeline"]}"#, #"{"_class_name": "CommunityPipeline"}"#] {
      if let index { try Data(index.utf8).write(to: URL(filePath: copy + "/model_index.json")) }
      #expect(try ModelSource(copy).family == family)
    }
  }

  /// What a person sees who names something else than a model.
  @Test func otherThingsAreNamed() throws {
    let scratch = try ScratchFolder()
    #expect(message { _ = try ModelSource(scratch.path) }?.contains("an empty folder") ?? false)
    try scratch.write("model.safetensors", Data())
    #expect(message { _ = try ModelSource(scratch.path) }?.contains("give one itself") ?? false)
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    try scratch.write("model.safetensors", Data(pointer.utf8))
    #expect(message { _ = try ModelSource(scratch.file("model.safetensors")) }?.contains("git lfs pull") ?? false)
  }
}
