import Foundation
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Files in which transformers 5 leaves out the name of a model's only part hold the same models.
@Suite struct ShortNamesTests {
  /// A copy of a component's folder with a part left out of all names.
  private func shortened(
    _ component: String, _ long: String, _ short: String, in scratch: ScratchFolder
  ) throws -> String {
    let source = References.path("models/\(component)")
    let folder = scratch.file("component")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: source + "/config.json", toPath: folder + "/config.json")
    let file = try SafetensorsFile(path: source + "/model.safetensors")
    let tensors = try file.names.map { name in
      let shortened = name.hasPrefix(long) ? short + name.dropFirst(long.count) : name
      return (shortened, file.shape(of: name) ?? [], try file.floats(name))
    }
    #expect(tensors.allSatisfy { !$0.0.hasPrefix(long) })
    try SafetensorsWriter.write(tensors: tensors, to: folder + "/model.safetensors")
    return folder
  }

  private static let encoders = References.entries("models").filter {
    References.exists("models/\($0)/text_encoder/model.safetensors")
  }

  @Test(arguments: encoders)
  func textEncoder(model: String) throws {
    let scratch = try ScratchFolder()
    let folder = try shortened("\(model)/text_encoder", "text_model.", "", in: scratch)
    let usual = try ModelComponent(folder: References.path("models/\(model)/text_encoder")).textEncoder().model
    let short = try ModelComponent(folder: folder).textEncoder().model
    let prompt = [(0..<usual.configuration.positions).map { $0 % 7 }]
    let states = Execution.withoutGradients { [usual, short].map { $0(prompt).lastHiddenState.elements } }
    #expect(states[0] == states[1])
  }

  @Test(arguments: References.entries("safety"))
  func safetyChecker(entry: String) throws {
    let model = entry.replacingOccurrences(of: ".safetensors", with: "")
    let scratch = try ScratchFolder()
    let folder = try shortened("\(model)/safety_checker", "vision_model.vision_model.", "vision_model.", in: scratch)
    let picture = try References.safetensors("safety/\(entry)").tensor("pictures").channelsLast().rows([0])
    let embeddings = try [References.path("models/\(model)/safety_checker"), folder].map { folder in
      let checker = try ModelComponent(folder: folder).safetyChecker()
      return Execution.withoutGradients { checker.embedding(picture).elements }
    }
    #expect(embeddings[0] == embeddings[1])
  }
}
