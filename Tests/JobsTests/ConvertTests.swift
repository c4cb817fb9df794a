import CoreMLExport
import Foundation
import Jobs
import Kernels
import Layers
import MIL
import MILRuntime
import Models
import StableDiffusion
import Tensors
import TestSupport
import Testing

/// Packages of every component compute what the engine computes from the weights they store.
@Suite struct ConvertTests {
  static let model = Program.repository.appending(path: "checkpoints/emoji-sd").path

  /// - Returns: the package's path.
  private func convert(
    _ component: ConvertOptions.Component, in folder: String, _ change: (inout ConvertOptions) -> Void = { _ in }
  ) throws -> ConvertJob.Package {
    var options = ConvertOptions()
    options.components = [component]
    change(&options)
    let outcome = try ConvertJob(model: ModelSource(Self.model), options: options, output: folder) { _ in }
    return try #require(outcome.packages.first)
  }

  /// The component's weights as a package stores them, under the engine's names and shapes.
  private func stored(_ package: String, _ store: ParameterStore) throws -> ParameterStore {
    let weights = try PackageWeights(path: package)
    let byName = Dictionary(weights.weights.map { ($0.name, $0) }) { first, _ in first }
    var values: NamedArrays = [:]
    for name in store.names {
      let shape = try #require(store.shape(of: name))
      let plain = ProgramBuilder.identifier(name)
      if let weight = byName[plain] {
        values[name] = (shape, try #require(weights.elements(of: weight)))
      } else {
        // Turned tables, and weights of the VAE's other half.
        values[name] = (shape, HalfPrecision.rounded(try #require(store.buffer(name))))
      }
    }
    return ParameterStore(values, origin: package)
  }

  private func check(
    _ name: String, _ found: NamedTensor?, _ expected: Tensor, bound: Double
  ) throws {
    let found = try #require(found)
    #expect(found.shape == expected.shape.axes)
    let result = ParityCase(
      name, error: relativeError(found.elements.elements, expected.elements), bound: bound)
    #expect(result.holds, "\(result)")
  }

  // Bounds: constants that packages store in half precision (attention scale, norm epsilons) and the order of sums.

  @Test(arguments: [nil, 1, 4, 8] as [Int?]) func textEncoder(bits: Int?) throws {
    let scratch = try ScratchFolder()
    let package = try convert(.textEncoder, in: scratch.path) { $0.bits = bits }
    let (encoder, store) = try ModelComponent(folder: Self.model + "/text_encoder").textEncoder()
    let native = try TextEncoder(stored(package.path, store), encoder.configuration)
    let model = try PackageModel(path: package.path)
    let length = encoder.configuration.positions
    #expect(model.inputs.map(\.name) == ["input_ids"])
    #expect(model.inputs.map(\.type) == [.float32])
    #expect(model.inputs.map(\.shape) == [[1, length]])
    let words = (0..<length).map { $0 < 6 ? 5 + 3 * $0 : encoder.configuration.vocabulary - 1 }
    let expected = Execution.withoutGradients { native([words]) }
    let outputs = try model.run(inputs: [
      "input_ids": NamedTensor(shape: [1, length], elements: Buffer(words.map(Float.init)))
    ])
    let form = bits.map(String.init) ?? "16"
    try check(
      "convert/text/\(form)", outputs["last_hidden_state"], expected.lastHiddenState, bound: 2e-4)
    try check("convert/pooled/\(form)", outputs["pooled_outputs"], expected.pooled, bound: 2e-4)
  }

  @Test(arguments: ExportOptions.AttentionForm.allCases, [nil, 6] as [Int?])
  func unet(attention: ExportOptions.AttentionForm, bits: Int?) throws {
    let scratch = try ScratchFolder()
    // 24 × 24 pixels are 576 queries: one piece of 512 and a rest, which Apple's converter loses.
    let package = try convert(.unet, in: scratch.path) {
      $0.attention = attention
      $0.bits = bits
      $0.batch = 1
      ($0.latentHeight, $0.latentWidth) = (24, 24)
    }
    let (unet, store) = try ModelComponent(folder: Self.model + "/unet").unet()
    let native = try UNet(stored(package.path, store), unet.configuration)
    let tokens = 24
    var generator = TorchGenerator(seed: 3)
    let sample = Tensor([1, 4, 24, 24], HalfPrecision.rounded(Buffer(generator.normals(2304))))
    let context = Tensor([1, tokens, 128], HalfPrecision.rounded(Buffer(generator.normals(3072))))
    let steps = Tensor([1], [0])
    let expected = Execution.withoutGradients {
      native(sample.channelsLast(), timestep: steps, context: context).channelsFirst()
    }
    let model = try PackageModel(path: package.path)
    let outputs = try model.run(inputs: [
      "sample": NamedTensor(shape: [1, 4, 24, 24], elements: sample.buffer),
      "timestep": NamedTensor(shape: [1], elements: steps.buffer),
      "encoder_hidden_states": NamedTensor(
        shape: [1, 128, 1, tokens], elements: context.permuted(0, 2, 1).buffer),
    ])
    try check(
      "convert/unet/\(attention.rawValue)/\(bits ?? 16)", outputs["noise_pred"], expected,
      bound: 1e-4)
    let shown = try Inspection(of: package.path).text
    #expect(shown.contains("attention"))
    #expect(shown.contains("  \(attention.rawValue)\n"), "\(shown.prefix(800))")
  }

  @Test func autoencoder() throws {
    let scratch = try ScratchFolder()
    let decoder = try convert(.vaeDecoder, in: scratch.path)
    let encoder = try convert(.vaeEncoder, in: scratch.path)
    let configuration = try AutoencoderConfiguration(folder: Self.model + "/vae")
    let store = try ModelComponent(folder: Self.model + "/vae").store()
    let nativeDecoder = try AutoencoderDecoder(stored(decoder.path, store), configuration)
    let nativeEncoder = try AutoencoderEncoder(stored(encoder.path, store), configuration)
    var generator = TorchGenerator(seed: 5)
    let z = Tensor([1, 4, 16, 16], HalfPrecision.rounded(Buffer(generator.normals(1024))))
    let x = Tensor([1, 3, 64, 64], HalfPrecision.rounded(Buffer(generator.normals(12288))))
    let image = Execution.withoutGradients { nativeDecoder(z.channelsLast()).channelsFirst() }
    let latent = Execution.withoutGradients { nativeEncoder(x.channelsLast()).channelsFirst() }
    let decoded = try PackageModel(path: decoder.path)
      .run(inputs: ["z": NamedTensor(shape: z.shape.axes, elements: z.buffer)])
    let encoded = try PackageModel(path: encoder.path)
      .run(inputs: ["x": NamedTensor(shape: x.shape.axes, elements: x.buffer)])
    try check("convert/vae_decoder", decoded["image"], image, bound: 1e-4)
    try check("convert/vae_encoder", encoded["latent"], latent, bound: 1e-4)
  }

  @Test func differenceNamesWhatDiffers() throws {
    let scratch = try ScratchFolder()
    let dense = try convert(.textEncoder, in: scratch.file("16"))
    let four = try convert(.textEncoder, in: scratch.file("4")) { $0.bits = 4 }
    #expect(try PackageDifference(dense.path, dense.path).isEmpty)
    let difference = try PackageDifference(dense.path, four.path)
    let name = "text_model_encoder_layers_0_self_attn_q_proj_weight"
    let weight = try #require(difference.weights.first { $0.name == name })
    #expect(weight.first == "fp16" && weight.second == "4-bit palette")
    #expect((15...40).contains(weight.psnr ?? 0))
    #expect(!difference.weights.contains { $0.name.contains("embedding") })
    #expect(difference.operations.contains { $0.type == "constexpr_lut_to_dense" && $0.first == 0 })
    // The same weights and operations, told other sizes.
    let small = try convert(.vaeDecoder, in: scratch.file("small"))
    let large = try convert(.vaeDecoder, in: scratch.file("large")) { $0.latentHeight = 24 }
    let told = try PackageDifference(small.path, large.path)
    #expect(told.weights.isEmpty && told.operations.isEmpty && !told.arguments.isEmpty, "\(told.text.prefix(800))")
  }

  static let mistakes: [(arguments: [String], line: String)] = [
    (["--quantize-nbits", "5"], "error: --quantize-nbits: expected 1, 2, 3, 4, 6 or 8, found 5"),
    (["--quantize-nbits", "3"], "error: --target: expected iOS18 for 3-bit palettes, found iOS16"),
    (["--latent-h", "15"], "error: latents of 15×16: height and width must be multiples of 4 for this network"),
    (["--model", "recipes"], "error: recipes: expected a diffusers folder with unet/config.json"),
  ]

  @Test(arguments: mistakes.indices) func mistakeIsOneLine(index: Int) throws {
    let scratch = try ScratchFolder()
    let mistake = Self.mistakes[index]
    let result = try Program.run(
      ["convert", "--model", Self.model, "--components", "unet", "--output", scratch.file("out")]
        + mistake.arguments)
    #expect(result.status != 0)
    #expect(result.errors.split(separator: "\n").last?.hasPrefix(mistake.line) ?? false, "\(result.errors)")
  }
}

extension ConvertTests {
  /// The halves, one behind the other, give the whole's values: what crosses is rounded to half precision.
  @Test func chunksGiveTheWholesValues() throws {
    let scratch = try ScratchFolder()
    var options = ConvertOptions()
    options.components = [.unet]
    options.bits = 4
    options.chunksUNet = true
    let outcome = try ConvertJob(model: ModelSource(Self.model), options: options, output: scratch.path) { _ in }
    let packages = outcome.packages
    #expect(packages.map(\.component) == ["unet", "unet_chunk1", "unet_chunk2"])
    // By stored bytes, not by elements: no half has more than two thirds.
    #expect(packages.dropFirst().allSatisfy { $0.bytes * 3 < packages[0].bytes * 2 })
    let models = try packages.map { try PackageModel(path: $0.path) }
    var generator = TorchGenerator(seed: 11)
    var inputs: [String: NamedTensor] = [:]
    for input in models[0].inputs {
      let shape = input.shape.map { $0 ?? 1 }
      let values = Buffer(generator.normals(shape.reduce(1, *)))
      inputs[input.name] = NamedTensor(
        shape: shape, elements: input.name == "timestep" ? Buffer([500, 500]) : values)
    }
    let whole = try models[0].run(inputs: inputs)
    func given(_ model: PackageModel) -> [String: NamedTensor] {
      inputs.filter { name, _ in model.inputs.contains { $0.name == name } }
    }
    inputs.merge(try models[1].run(inputs: given(models[1]))) { first, _ in first }
    let halves = try models[2].run(inputs: given(models[2]))
    let expected = try #require(whole["noise_pred"])
    let found = try #require(halves["noise_pred"])
    let result = ParityCase(
      "convert/chunks", error: relativeError(found.elements.elements, expected.elements.elements),
      bound: 2e-3)
    #expect(result.holds, "\(result)")
  }

  @Test(arguments: [(8, 1, false, false), (16, 2, false, true), (8, 1, true, false)])
  func groupedForms(group: Int, vector: Int, int8: Bool, scale: Bool) throws {
    let scratch = try ScratchFolder()
    var options = ConvertOptions()
    options.components = [.textEncoder]
    options.target = .iOS18
    options.bits = 4
    (options.groupSize, options.vector) = (group, vector)
    (options.int8Entries, options.channelScale) = (int8, scale)
    let outcome = try ConvertJob(model: ModelSource(Self.model), options: options, output: scratch.path) { _ in }
    let weights = try PackageWeights(path: outcome.packages[0].path).weights
    let weight = try #require(weights.first { $0.name.hasSuffix("layers_0_mlp_fc1_weight") })
    guard case .palette(let bits, let tables, let numbers, _) = weight.form else {
      Issue.record("\(weight.form)")
      return
    }
    #expect(bits == 4 && tables == weight.shape[0] / group && numbers == vector)
  }
}

extension ConvertTests {
  /// Residuals of zero change nothing, others do: the ControlNet-ready UNet has Apple's features.
  @Test func controlledUNetTakesResiduals() throws {
    let scratch = try ScratchFolder()
    var options = ConvertOptions()
    options.components = [.unet]
    options.batch = 1
    let plain = try ConvertJob(model: ModelSource(Self.model), options: options, output: scratch.path) { _ in }
    options.supportsControlNet = true
    let controlled = try ConvertJob(model: ModelSource(Self.model), options: options, output: scratch.path) { _ in }
    #expect(controlled.packages[0].path.hasSuffix("_control-unet.mlpackage"))
    let (first, second) = (
      try PackageModel(path: plain.packages[0].path), try PackageModel(path: controlled.packages[0].path)
    )
    func inputs(_ model: PackageModel, residual: Float) -> [String: NamedTensor] {
      var inputs: [String: NamedTensor] = [:]
      for input in model.inputs {
        let shape = input.shape.map { $0 ?? 1 }
        let value = input.name.hasPrefix("additional") ? residual : 0.5
        inputs[input.name] = NamedTensor(
          shape: shape, elements: Buffer(repeating: value, count: shape.reduce(1, *)))
      }
      return inputs
    }
    let expected = try #require(try first.run(inputs: inputs(first, residual: 0))["noise_pred"])
    let same = try #require(try second.run(inputs: inputs(second, residual: 0))["noise_pred"])
    let other = try #require(try second.run(inputs: inputs(second, residual: 1))["noise_pred"])
    // Adding zeros is exact.
    #expect(relativeError(same.elements.elements, expected.elements.elements) < 1e-6)
    #expect(relativeError(other.elements.elements, expected.elements.elements) > 1e-3)
  }
}
