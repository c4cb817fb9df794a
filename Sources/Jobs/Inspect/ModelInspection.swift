internal import Files
internal import Foundation
internal import Kernels
internal import Models
internal import StableDiffusion
internal import WeightFiles

/// What is in a model, or in a file of weights that may be one.
enum ModelInspection {
  /// A folder in diffusers' layout, or a repository of the Hugging Face cache.
  static func folder(_ path: String) throws -> Inspection {
    Inspection(kind: "model", facts: try facts(ModelSource(path)))
  }

  /// A file of tensors: what model it is, if it is one, and every tensor.
  static func file(_ path: String) throws -> Inspection {
    let content = FileContent(try MappedFile.open(path))
    guard content != .unknown else {
      throw JobError.notATarget(
        path: path,
        expected: "an .mlpackage, a model, a checkpoint, latents, or weights as safetensors, GGUF or torch's file")
    }
    let source = try WeightFile.open(path)
    let kind =
      switch content {
      case .gguf: "GGUF"
      case .zip, .pickle: "torch"
      default: "safetensors"
      }
    let model = (try? ModelSource(path)).flatMap { try? facts($0) } ?? []
    let tensors = source.names.map { name in
      Inspection.Fact(name: name, value: "\(source.typeName(of: name) ?? "?") \(source.shape(of: name) ?? [])")
    }
    return Inspection(kind: kind, facts: model + tensors)
  }

  /// Builds every network of a folder, which names weights that are missing, misshapen or not used, and looks at every value.
  static func verify(folder path: String) throws {
    let model = try ModelSource(path)
    for part in ModelPart.allCases where model.has(part) {
      try model.checkNetwork(of: part)
      let component = try model.component(part)
      for name in component.weights.names where component.weights.holdsFloats(name) {
        guard let index = try component.weights.floats(name).firstIndex(beyond: .greatestFiniteMagnitude) else {
          continue
        }
        throw FileError.malformedItem(
          file: component.origin, item: component.weights.spelling(of: name), expected: "finite weights",
          found: "element \(index) that is not")
      }
    }
  }

  private static func facts(_ model: ModelSource) throws -> [Inspection.Fact] {
    var facts = [
      Inspection.Fact(name: "model", value: model.name), Inspection.Fact(name: "family", value: model.family.rawValue),
    ]
    for part in ModelPart.allCases where model.has(part) {
      facts.append(Inspection.Fact(name: part.rawValue, value: try line(part, model)))
    }
    if model.has(.unet) { facts.append(Inspection.Fact(name: "predicts", value: try model.prediction())) }
    return facts + model.warnings.map { Inspection.Fact(name: "note", value: $0) }
  }

  private static func line(_ part: ModelPart, _ model: ModelSource) throws -> String {
    let component = try model.component(part)
    let names = component.weights.names
    let count = names.reduce(0) { $0 + (component.weights.shape(of: $1) ?? []).reduce(1, *) }
    let types = Set(names.compactMap { component.weights.typeName(of: $0) }).sorted().joined(separator: ", ")
    var words = "\(count) weights in \(names.count) tensors of \(types)"
    switch part {
    case .unet:
      let unet = try UNetConfiguration(component.configuration)
      words +=
        ", channels \(unet.blockChannels), text of \(unet.contextFeatures[0]) features, \(unet.inputChannels) inputs"
    case .textEncoder, .textEncoder2:
      let encoder = try TextEncoderConfiguration(component.configuration)
      words += ", \(encoder.layers) layers of \(encoder.features), \(encoder.vocabulary) tokens"
    case .vae:
      let vae = try AutoencoderConfiguration(component.configuration)
      words += ", channels \(vae.blockChannels), scaling factor \(vae.scalingFactor)"
    case .safetyChecker: break
    }
    return words
  }
}
