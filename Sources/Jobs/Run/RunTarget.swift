internal import Checkpoints
internal import Foundation
internal import Kernels
internal import Layers
internal import MILRuntime
internal import StableDiffusion
internal import Tensors

/// What `sdtune run` runs: a package, or a component of a diffusers folder, on named tensors.
package struct RunTarget {
  let path: String

  package init(_ path: String) { self.path = path }

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
    if path.hasSuffix(".mlpackage") || path.hasSuffix(".mlpackage/") { return try package(file) }
    let parts = path.split(separator: "#", maxSplits: 1).map(String.init)
    let folder = parts.first ?? path
    guard FileManager.default.fileExists(atPath: folder + "/config.json") else {
      throw JobError.notATarget(
        path: path, expected: "an .mlpackage or a diffusers component folder with config.json")
    }
    switch try DiffusersFolder.componentClass(folder) {
    case "UNet2DConditionModel": return try unet(folder, file)
    case "CLIPTextModel", "CLIPTextModelWithProjection": return try textEncoder(folder, file)
    case "AutoencoderKL": return try autoencoder(folder, half: parts.count > 1 ? parts[1] : "", file)
    case "ControlNetModel": return try controlNet(folder, file)
    case "StableDiffusionSafetyChecker": return try safetyChecker(folder, file)
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

  private func textEncoder(_ folder: String, _ file: SafetensorsFile) throws -> Results {
    let (encoder, _) = try DiffusersFolder.textEncoder(folder)
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
    _ folder: String, half: String, _ file: SafetensorsFile
  ) throws -> Results {
    guard half == "decoder" || half == "encoder" else {
      throw JobError.notATarget(path: path, expected: "\(folder)#decoder or \(folder)#encoder")
    }
    let (encoder, decoder) = try DiffusersFolder.autoencoder(folder)
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
