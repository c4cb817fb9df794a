import CoreMLExport
import Foundation
import Jobs
import Kernels
import MIL
import MILRuntime
import Models
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Components that not every model has, on miniatures with random weights.
@Suite(.enabled(if: References.exists("models/safety-tiny"))) struct ConvertComponentsTests {
  private func convert(
    _ model: String, to output: String, _ change: (inout ConvertOptions) -> Void
  ) throws -> ConvertJob.Outcome {
    var options = ConvertOptions()
    options.name = "miniature"
    change(&options)
    return try ConvertJob(model: ModelSource(model), options: options, output: output) { _ in }
  }

  /// A model's folder put together from components of the reference set.
  private func model(_ parts: [String: String], in scratch: ScratchFolder) throws -> String {
    let folder = scratch.file("model")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, source) in parts {
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/\(name)", withDestinationPath: References.path("models/\(source)"))
    }
    return folder
  }

  private func tensor(_ name: String, _ file: SafetensorsFile) throws -> Tensor {
    Tensor(Shape(try #require(file.shape(of: name))), try file.floats(name))
  }

  private func shown(_ features: [PackageFeature]) -> [String] {
    features.map { "\($0.name) \($0.type) \($0.shape.map { $0 ?? -1 })" }
  }

  @Test func safetyChecker() throws {
    let scratch = try ScratchFolder()
    let folder = try model(
      ["safety_checker": "safety-tiny/safety_checker", "vae": "sd1-tiny/vae"], in: scratch)
    let outcome = try convert(folder, to: scratch.file("out")) {
      $0.components = [.safetyChecker]
      $0.checksOutputs = true
    }
    let path = outcome.packages[0].path
    #expect(path.hasSuffix("/Stable_Diffusion_version_miniature_safety_checker.mlpackage"))
    let package = try PackageModel(path: path)
    #expect(
      shown(package.inputs) == [
        "clip_input fp16 [1, 3, 28, 28]", "images fp16 [1, 64, 64, 3]", "adjustment fp16 [1]",
      ])
    #expect(
      shown(package.outputs) == [
        "filtered_images fp32 [1, 64, 64, 3]", "has_nsfw_concepts fp32 [1, 1, 1, 1]",
        "concept_scores fp32 [1, 17]",
      ])
    let file = try References.safetensors("safety/safety-tiny.safetensors")
    let pictures = try tensor("pictures", file)
    let checker = try ModelComponent(folder: folder + "/safety_checker").safetyChecker()
    for (index, flag) in try file.integers("flags").enumerated() {
      let picture = pictures.rows([index])
      let outputs = try package.run(inputs: [
        "clip_input": NamedTensor(shape: picture.shape.axes, elements: picture.buffer),
        "images": NamedTensor(shape: [1, 64, 64, 3], elements: Buffer(repeating: 0.5, count: 12288)),
        "adjustment": NamedTensor(shape: [1], elements: Buffer([0])),
      ])
      let scores = try #require(outputs["concept_scores"]?.elements.elements)
      let native = Execution.withoutGradients {
        checker.scores(checker.embedding(picture.channelsLast()).elements)
      }
      // Thresholds and directions are stored in half precision, inputs are rounded to it.
      let errors = zip(scores, native).map { abs(Double($0) - $1) }
      #expect((errors.max() ?? 1) < 1.5e-3)
      #expect(outputs["has_nsfw_concepts"]?.elements.elements == [Float(flag)])
      let filtered = try #require(outputs["filtered_images"]?.elements.elements)
      let pixel: Float = flag == 1 ? 0 : 0.5
      #expect(Set(filtered) == [pixel])
    }
  }

  @Test(arguments: [nil, 4] as [Int?]) func controlNet(bits: Int?) throws {
    let scratch = try ScratchFolder()
    let outcome = try convert(References.path("models/sd1-tiny"), to: scratch.path) {
      $0.components = [.controlNet]
      $0.bits = bits
      $0.controlNets = [
        .init(
          folder: References.path("models/sd1-tiny/controlnet"), name: "lllyasviel/sd-controlnet-mlsd")
      ]
      $0.bundlesResources = true
    }
    #expect(
      outcome.packages.map(\.path) == [scratch.file("ControlNet_lllyasviel_sd-controlnet-mlsd.mlpackage")])
    #expect(outcome.resources.contains("controlnet/LllyasvielSdControlnetMlsd.mlpackage"))
    let package = try PackageModel(
      path: scratch.file("Resources/controlnet/LllyasvielSdControlnetMlsd.mlpackage"))
    #expect(
      shown(package.inputs) == [
        "sample fp16 [2, 4, 8, 8]", "timestep fp16 [2]", "encoder_hidden_states fp16 [2, 24, 1, 77]",
        "controlnet_cond fp16 [2, 3, 64, 64]",
      ])
    let file = try References.safetensors("controlnet/sd1-tiny.safetensors")
    let context = try tensor("encoder_hidden_states", file).permuted(0, 2, 1)
    var inputs = ["timestep": NamedTensor(shape: [2], elements: Buffer([401, 401]))]
    for (name, source) in ["sample": "sample", "controlnet_cond": "picture"] {
      let x = try tensor(source, file)
      inputs[name] = NamedTensor(shape: x.shape.axes, elements: x.buffer)
    }
    inputs["encoder_hidden_states"] = NamedTensor(shape: [2, 24, 1, 77], elements: context.buffer)
    let outputs = try package.run(inputs: inputs)
    let names = (0..<outputs.count).map { "additional_residual_\($0)" }
    #expect(package.outputs.map(\.name) == names)
    for index in 0..<outputs.count {
      let golden = try file.floats(index < outputs.count - 1 ? "down.\(index)" : "middle")
      let found = try #require(outputs["additional_residual_\(index)"]).elements
      let result = ParityCase(
        "convert/controlnet/\(bits ?? 16)/\(index)",
        error: relativeError(found.elements, golden.elements),
        // Rounded weights, inputs and time features; 4-bit palettes lose what they lose.
        bound: bits == nil ? 5e-3 : 0.5)
      #expect(result.holds, "\(result)")
    }
  }

  /// SDXL's VAE overflows half precision: what its convolutions multiply must be single precision on both sides.
  @Test(arguments: [DeploymentTarget.iOS16, .iOS18])
  func palettesOfXLsVAEAreOfSinglePrecision(target: DeploymentTarget) throws {
    let scratch = try ScratchFolder()
    let outcome = try convert(References.path("models/sdxl-tiny"), to: scratch.file("out")) {
      $0.components = [.vaeDecoder]
      $0.palettized = [.vaeDecoder]
      ($0.bits, $0.target) = (4, target)
    }
    let package = try ModelPackage(outcome.packages[0].path)
    let operations = try #require(package.model.functions[package.model.defaultFunction]).block.operations
    let palettes = operations.filter { $0.type == "constexpr_lut_to_dense" }
    #expect(!palettes.isEmpty)
    for palette in palettes { #expect(palette.outputs[0].type.tensor?.dataType == .float32) }
  }

  /// Each form of SDXL's UNet and of its refiner's within 35 dB of the model, or `convert` throws.
  @Test(arguments: ExportOptions.AttentionForm.allCases, [false, true])
  func xlUNet(attention: ExportOptions.AttentionForm, isRefiner: Bool) throws {
    let scratch = try ScratchFolder()
    let folder = try model(
      isRefiner
        ? ["unet": "sdxl-tiny/refiner", "text_encoder_2": "sdxl-tiny/text_encoder_2"]
        : ["unet": "sdxl-tiny/unet", "text_encoder_2": "sdxl-tiny/text_encoder_2"], in: scratch)
    _ = try scratch.write(
      "model/model_index.json",
      """
      {"_class_name": "StableDiffusionXLPipeline", "requires_aesthetics_score": \(isRefiner)}
      """)
    let outcome = try convert(folder, to: scratch.file("out")) {
      $0.components = [.unet, .textEncoder]
      $0.attention = attention
      $0.checksOutputs = true
    }
    let names = outcome.packages.map { URL(filePath: $0.path).lastPathComponent }
    #expect(
      names == [
        "Stable_Diffusion_version_miniature_\(isRefiner ? "refiner" : "unet").mlpackage",
        "Stable_Diffusion_version_miniature_text_encoder_2.mlpackage",
      ])
    let features = shown(try PackageModel(path: outcome.packages[0].path).inputs)
    #expect(features.contains("time_ids fp16 [2, \(isRefiner ? 5 : 6)]"))
    #expect(features.contains("text_embeds fp16 [2, 24]"))
  }

  @Test func hubLayout() throws {
    let scratch = try ScratchFolder()
    let result = try Program.run([
      "convert", "--model", References.path("models/sd1-tiny"), "--model-version", "a/b", "--components",
      "vae-decoder", "--hub-layout", "--attention", "split-einsum-v2", "--output", scratch.file("out"),
    ])
    #expect(result.status == 0, "\(result.errors)")
    let root = scratch.file("out/split_einsum_v2")
    let package = "Stable_Diffusion_version_a_b_vae_decoder"
    #expect(try FileManager.default.contentsOfDirectory(atPath: root + "/packages") == [package + ".mlpackage"])
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: root + "/compiled").sorted() == [
        "merges.txt", "vocab.json",
      ])
    #expect(
      result.output.contains(
        "xcrun coremlcompiler compile '\(root)/packages/\(package).mlpackage' '\(root)/compiled' "
          + "&& mkdir -p '\(root)/compiled' && rm -rf '\(root)/compiled/VAEDecoder.mlmodelc' && mv '\(root)/compiled/\(package).mlmodelc' '\(root)/compiled/VAEDecoder.mlmodelc'"
      ))
  }
}
