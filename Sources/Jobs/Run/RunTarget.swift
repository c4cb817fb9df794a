internal import Foundation
internal import Kernels
internal import Layers
internal import MILRuntime
internal import Models
internal import StableDiffusion
internal import Tensors
internal import WeightFiles

/// What `sdtune run` runs: a package, or one network of a model, on named tensors.
package struct RunTarget {
  private enum Kind {
    case package
    case component(ModelComponent, half: String)
  }

  let path: String
  private let kind: Kind

  /// - Parameter path: a package; a component's folder, of VAEs with `#decoder` or `#encoder` behind it; or a whole model in
  ///   any form with `#unet`, `#text_encoder`, `#text_encoder_2`, `#vae_decoder`, `#vae_encoder` or `#safety_checker`.
  package init(_ path: String) throws {
    self.path = path
    if PackageModel.isPackage(path) {
      kind = .package
      return
    }
    let parts = path.split(separator: "#", maxSplits: 1).map(String.init)
    let (place, which) = (parts.first ?? path, parts.count > 1 ? parts[1] : "")
    if FileManager.default.fileExists(atPath: place + "/config.json") {
      kind = .component(try ModelComponent(folder: place), half: which)
      return
    }
    let half = which.hasPrefix("vae_") ? String(which.dropFirst("vae_".count)) : ""
    guard FileManager.default.fileExists(atPath: place),
      let part = half.isEmpty ? ModelPart(rawValue: which) : .vae, part != .vae || !half.isEmpty
    else {
      throw JobError.notATarget(
        path: path,
        expected:
          "an .mlpackage, an .mlmodelc, a diffusers component folder with config.json, or a model with #unet, #text_encoder, "
          + "#text_encoder_2, #vae_decoder, #vae_encoder or #safety_checker")
    }
    kind = .component(try ModelSource(place).component(part), half: half)
  }

  /// - Parameter half: of a VAE, `decoder` or `encoder`.
  init(_ component: ModelComponent, half: String = "") {
    path = component.origin
    kind = .component(component, half: half)
  }

  /// Of a text encoder.
  func vocabulary() throws -> Int {
    guard case .component(let component, _) = kind else { return 0 }
    return try TextEncoderConfiguration(component.configuration).vocabulary
  }

  /// Reads inputs, runs, writes outputs; safetensors both.
  ///
  /// - Returns: names and shapes of the outputs.
  package func callAsFunction(
    inputs: String, outputs: String
  ) throws -> [(name: String, shape: [Int])] {
    guard URL(filePath: inputs).resolvingSymlinksInPath() != URL(filePath: outputs).resolvingSymlinksInPath() else {
      throw JobError.option(name: "--output", expected: "another file than --inputs", found: outputs)
    }
    try OutputPlace.check(outputs)
    let file = try SafetensorsFile(path: inputs)
    let results = try run(file)
    let tensors = results.map { ($0.name, $0.tensor.shape.axes, $0.tensor.buffer) }
    try SafetensorsWriter.write(tensors: tensors, metadata: [:], to: outputs)
    return results.map { ($0.name, $0.tensor.shape.axes) }
  }

  typealias Results = [(name: String, tensor: Tensor)]

  private func run(_ file: SafetensorsFile) throws -> Results {
    guard case .component(let component, let half) = kind else { return try package(file) }
    switch try component.className {
    case "UNet2DConditionModel": return try unet(component, file)
    case "CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel": return try textEncoder(component, file)
    case "AutoencoderKL": return try autoencoder(component, half: half, file)
    case "ControlNetModel": return try controlNet(component, file)
    case "StableDiffusionSafetyChecker": return try safetyChecker(component, file)
    case let other:
      throw JobError.notATarget(
        path: path,
        expected: "a UNet2DConditionModel, ControlNetModel, AutoencoderKL, CLIPTextModel or "
          + "StableDiffusionSafetyChecker, found \(other)")
    }
  }

  func tensor(_ name: String, _ file: SafetensorsFile) throws -> Tensor {
    guard let shape = file.shape(of: name) else {
      throw JobError.input(
        target: path, name: name, expected: "a tensor in \(file.path)",
        found: "only \(file.names.joined(separator: ", "))")
    }
    let type = file.elementType(of: name)
    let elements =
      type?.isFloat ?? false
      ? try file.floats(name) : Buffer(try file.integers(name).map(Float.init))
    return Tensor(Shape(shape), elements)
  }

  func expect(
    _ holds: Bool, _ name: String, _ expected: String, _ found: Shape
  ) throws(JobError) {
    guard holds else {
      throw .input(target: path, name: name, expected: expected, found: "\(found)")
    }
  }

  private func textEncoder(_ component: ModelComponent, _ file: SafetensorsFile) throws -> Results {
    let (encoder, _) = try component.textEncoder()
    let ids = try tensor("input_ids", file)
    let configuration = encoder.configuration
    try expect(
      ids.shape.rank == 2 && ids.shape.count > 0 && ids.shape[1] <= configuration.positions,
      "input_ids", "[batch, tokens], at most \(configuration.positions) tokens", ids.shape)
    let numbers = try ids.elements.map { element in
      guard let number = Int(exactly: element), number >= 0, number < configuration.vocabulary else {
        throw JobError.input(
          target: path, name: "input_ids", expected: "whole numbers from 0, below \(configuration.vocabulary)",
          found: "\(element)")
      }
      return number
    }
    let width = ids.shape[1]
    let rows = stride(from: 0, to: numbers.count, by: width).map {
      Array(numbers[$0..<$0 + width])
    }
    let output = Execution.withoutGradients { encoder(rows) }
    var results: Results = [
      ("last_hidden_state", output.lastHiddenState), ("pooled_outputs", output.pooled),
      ("hidden_embeds", output.hiddenStates[output.hiddenStates.count - 2]),
    ]
    if let embeddings = output.embeddings { results.append(("text_embeds", embeddings)) }
    return results
  }

  /// `z` to `image` with the decoder, `x` to `latent` (mean and log-variance) with the encoder, as in packages.
  private func autoencoder(
    _ component: ModelComponent, half: String, _ file: SafetensorsFile
  ) throws -> Results {
    guard half == "decoder" || half == "encoder" else {
      throw JobError.notATarget(path: path, expected: "\(component.origin)#decoder or \(component.origin)#encoder")
    }
    let (encoder, decoder) = try component.autoencoder()
    let configuration = decoder.configuration
    let (name, channels) =
      half == "decoder"
      ? ("z", configuration.latentChannels) : ("x", configuration.imageChannels)
    let x = try tensor(name, file)
    let step = half == "decoder" ? 1 : 1 << (configuration.blockChannels.count - 1)
    try expect(
      x.shape.rank == 4 && x.shape[1] == channels && x.shape.count > 0
        && x.shape[2] % step == 0 && x.shape[3] % step == 0, name,
      "[batch, \(channels), height, width], multiples of \(step)", x.shape)
    let y = Execution.withoutGradients {
      half == "decoder" ? decoder(x.channelsLast()) : encoder(x.channelsLast())
    }
    return [(half == "decoder" ? "image" : "latent", y.channelsFirst())]
  }

  private func package(_ file: SafetensorsFile) throws -> Results {
    let model = try PackageModel(path: path)
    var inputs: [String: NamedTensor] = [:]
    for feature in model.inputs {
      let x = try tensor(feature.name, file)
      inputs[feature.name] = NamedTensor(shape: x.shape.axes, elements: x.buffer)
    }
    let outputs = try model.run(inputs: inputs)
    return outputs.sorted { $0.key < $1.key }.map { name, value in
      (name, Tensor(Shape(value.shape), value.elements))
    }
  }
}
