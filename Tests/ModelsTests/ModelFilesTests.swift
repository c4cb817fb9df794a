import Digests
import Files
import Foundation
import Kernels
import Models
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Whole models in every form against what diffusers, transformers and torch read of them.
@Suite struct ModelFilesTests {
  @Test func thereAreCases() {
    #expect(!ModelFiles.entries.isEmpty, "no cases in \(ModelFiles.folder.path)")
  }

  /// Every tensor under today's name, bit for bit, and no other.
  @Test(arguments: ModelFiles.entries("checkpoint", "folder", result: "ok").filter { $0.digests != nil })
  func weightsAreRead(entry: ModelFiles.Entry) throws {
    let scratch = try ScratchFolder()
    let expected = try ModelFiles.json(try #require(entry.digests))
    do {
      let place = try ModelFiles.place(entry, scratch)
      for (name, tensors) in expected {
        // Averages of weights beside the weights are another tool's reading.
        guard let part = ModelPart(rawValue: name), let tensors = tensors as? [String: String] else { continue }
        let component = try component(place, part, entry)
        let names = component.weights.names
        #expect(Set(names) == Set(tensors.keys), "\(name)")
        for name in names where tensors[name] != nil {
          let shape = component.weights.shape(of: name) ?? []
          let axes = shape.isEmpty ? "-" : shape.map(String.init).joined(separator: "x")
          let bytes = try component.weights.floats(name).bytes
          let digest = SHA256.text(SHA256.of(bytes)).prefix(16)
          #expect("\(axes) \(digest)" == tensors[name], "\(name)")
        }
      }
    } catch {
      #expect(entry.mayRefuse, "\(error)")
    }
  }

  private func component(_ place: String, _ part: ModelPart, _ entry: ModelFiles.Entry) throws -> ModelComponent {
    if entry.component == part.rawValue, FileManager.default.fileExists(atPath: place + "/config.json") {
      return try ModelComponent(folder: place)
    }
    // A component's folder without its configuration.
    if entry.kind == "folder", entry.component == part.rawValue, let config = entry.config {
      return try ModelComponent(
        JSONConfiguration(file: ModelFiles.path("\(config)/\(part.rawValue)/config.json")), WeightFolder(path: place))
    }
    return try ModelSource(place, ModelFiles.additions(entry)).component(part)
  }

  /// Every network takes the weights: none is missing, misshapen or left over.
  @Test(arguments: ModelFiles.entries("checkpoint", result: "ok"))
  func networksAreBuilt(entry: ModelFiles.Entry) throws {
    do {
      let model = try ModelSource(ModelFiles.path(entry.file), ModelFiles.additions(entry))
      try Self.build(model, entry.component)
    } catch {
      #expect(entry.mayRefuse, "\(error)")
    }
  }

  static func build(_ model: ModelSource, _ only: String? = nil) throws {
    for part in ModelPart.allCases where model.has(part) && (only ?? part.rawValue).contains(part.rawValue) {
      try model.checkNetwork(of: part)
    }
  }

  /// One line that names the file and what is wrong with it.
  @Test(arguments: ModelFiles.entries("checkpoint", "tensors", "folder", result: "refuse"))
  func brokenFilesAreRefused(entry: ModelFiles.Entry) throws {
    do {
      let model = try ModelSource(ModelFiles.path(entry.file), ModelFiles.additions(entry))
      try Self.build(model, entry.component)
      #expect(entry.mayRead, "was read")
    } catch {
      Self.check("\(error)", entry)
    }
  }

  static func check(_ message: String, _ entry: ModelFiles.Entry) {
    #expect(!message.contains("\n"), "\(message)")
    #expect(message.contains(URL(filePath: entry.file).lastPathComponent), "\(message)")
    for word in entry.mustName { #expect(message.contains(word), "\(word) in: \(message)") }
  }

  /// Bags of tensors, integers and truth values too.
  @Test(arguments: ModelFiles.entries("tensors", result: "ok"))
  func tensorsAreRead(entry: ModelFiles.Entry) throws {
    let expected = try SafetensorsFile(path: ModelFiles.path(try #require(entry.tensors)))
    do {
      let found = try WeightFile.open(ModelFiles.path(entry.file))
      #expect(found.names == expected.names)
      for name in expected.names {
        #expect(found.shape(of: name) == expected.shape(of: name), "\(name)")
        #expect(found.typeName(of: name) == expected.typeName(of: name), "\(name)")
        let (x, y) = (try found.elements(name).buffer.elements, try expected.elements(name).buffer.elements)
        #expect(x.map(\.bitPattern) == y.map(\.bitPattern), "\(name)")
      }
    } catch {
      #expect(entry.mayRefuse, "\(error)")
      Self.check("\(error)", entry)
    }
  }

  /// What names and extents of full-size models tell.
  @Test(arguments: ModelFiles.entries("header", result: "ok"))
  func configurationsAreInferred(entry: ModelFiles.Entry) throws {
    let expected = try JSONConfiguration(file: ModelFiles.path(try #require(entry.configuration)))
    let model = try ModelSource(TableWeights(path: ModelFiles.path(entry.file)))
    func own(_ part: ModelPart) throws -> JSONConfiguration { try model.configuration(of: part) }
    if expected.has("unet") { #expect(try UNetConfiguration(own(.unet)) == UNetConfiguration(expected.object("unet"))) }
    if expected.has("vae") {
      #expect(try AutoencoderConfiguration(own(.vae)) == AutoencoderConfiguration(expected.object("vae")))
    }
    for part in ModelPart.textEncoders where expected.has(part.rawValue) {
      let (mine, theirs) = (
        try TextEncoderConfiguration(own(part)), try TextEncoderConfiguration(expected.object(part.rawValue))
      )
      #expect(mine == theirs)
    }
    if expected.has("prediction_type") { #expect(try model.prediction() == expected.string("prediction_type")) }
  }

  /// Where everything can be inferred, no configuration need be handed over.
  @Test(arguments: ModelFiles.entries("checkpoint", result: "ok").filter(\.isInferable))
  func nothingNeedsToBeHandedOver(entry: ModelFiles.Entry) throws {
    let (alone, told) = (
      try ModelSource(ModelFiles.path(entry.file)),
      try ModelSource(ModelFiles.path(entry.file), ModelFiles.additions(entry))
    )
    // The size of the pictures it was trained on is nowhere in a file, and 2 stands for the end token in all published models.
    func unet(_ model: ModelSource) throws -> UNetConfiguration {
      try UNetConfiguration(model.configuration(of: .unet).replacing(["sample_size": nil]))
    }
    func encoder(_ model: ModelSource, _ part: ModelPart) throws -> TextEncoderConfiguration {
      try TextEncoderConfiguration(model.configuration(of: part).replacing(["eos_token_id": nil]))
    }
    #expect(try unet(alone) == unet(told))
    for part in alone.textEncoders { #expect(try encoder(alone, part) == encoder(told, part)) }
    #expect(try alone.prediction() == told.prediction())
    try Self.build(alone)
  }

  /// The networks' answers are torch's, to 1e-4 of the largest.
  @Test(arguments: ModelFiles.entries("checkpoint", result: "ok").filter { $0.io != nil })
  func answersAreTorchs(entry: ModelFiles.Entry) throws {
    let file = try SafetensorsFile(path: ModelFiles.path(try #require(entry.io)))
    let model = try ModelSource(ModelFiles.path(entry.file), ModelFiles.additions(entry))
    func tensor(_ name: String) throws -> Tensor {
      Tensor(Shape(try #require(file.shape(of: name))), try file.elements(name).buffer)
    }
    func check(_ name: String, _ found: Tensor) throws {
      guard file.contains(name) else { return }
      #expect(relativeError(found.elements, try file.floats(name).elements) < 1e-4, "\(name)")
    }
    try Execution.withoutGradients {
      if model.has(.unet), file.contains("unet.output") {
        let unet = try model.component(.unet).unet().model
        let addition =
          file.contains("unet.text_embeds")
          ? UNet.Addition(textEmbeddings: try tensor("unet.text_embeds"), timeIdentifiers: try tensor("unet.time_ids"))
          : nil
        let y = unet(
          try tensor("unet.sample").channelsLast(), timestep: try tensor("unet.timestep"),
          context: try tensor("unet.encoder_hidden_states"), addition: addition)
        try check("unet.output", y.channelsFirst())
      }
      for part in model.textEncoders where file.contains("\(part.rawValue).input_ids") {
        let output = try model.component(part).textEncoder().model(tensor("\(part.rawValue).input_ids"))
        try check("\(part.rawValue).last_hidden_state", output.lastHiddenState)
        try check("\(part.rawValue).hidden_states_minus_2", output.hiddenStates[output.hiddenStates.count - 2])
        try check("\(part.rawValue).pooled", output.embeddings ?? output.pooled)
      }
      if model.has(.vae), file.contains("vae.latent") {
        let (encoder, decoder) = try model.component(.vae).autoencoder()
        try check("vae.decoded", decoder(tensor("vae.latent").channelsLast()).channelsFirst())
        try check("vae.moments", encoder(tensor("vae.image").channelsLast()).channelsFirst())
      }
    }
  }

  @Test(arguments: ModelFiles.entries("checkpoint", result: "ok").filter { $0.prediction != nil })
  func predictionIsKnown(entry: ModelFiles.Entry) throws {
    #expect(try ModelSource(ModelFiles.path(entry.file), ModelFiles.additions(entry)).prediction() == entry.prediction)
  }

  /// The repository's folder of a cache leads to the snapshot that its main branch names.
  @Test(arguments: ModelFiles.entries("folder", result: "ok").filter { $0.file.contains("/snapshots/") })
  func repositoriesOfTheCacheAreFollowed(entry: ModelFiles.Entry) throws {
    let scratch = try ScratchFolder()
    let place = try ModelFiles.place(entry, scratch)
    let repository = URL(filePath: place).deletingLastPathComponent().deletingLastPathComponent()
    let model = try ModelSource(repository.path)
    #expect(
      model.name == repository.lastPathComponent.dropFirst("models--".count).replacingOccurrences(of: "--", with: "/"))
    #expect(try ModelSource(place).name == model.name)
    try Self.build(model)
  }

  @Test(arguments: ModelFiles.entries("folder", result: "ok").filter { $0.tokens != nil })
  func tokenizersAreRead(entry: ModelFiles.Entry) throws {
    let data = try Data(contentsOf: URL(filePath: ModelFiles.path(try #require(entry.tokens))))
    let cases = try #require(JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    try #require(!cases.isEmpty)
    let own = ModelFiles.path(entry.file)
    let inner = own + "/tokenizer"
    let folder = FileManager.default.fileExists(atPath: inner) ? inner : own
    for item in cases {
      let (prompt, ids) = (try #require(item["prompt"] as? String), try #require(item["ids"] as? [Int]))
      #expect(try CLIPTokenizer(folder: folder, length: ids.count)(prompt) == ids, "\(prompt)")
    }
  }
}
