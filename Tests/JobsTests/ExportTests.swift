import Clustering
import CoreMLExport
import Foundation
import Jobs
import Kernels
import Layers
import MIL
import MILRuntime
import Recipes
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training

/// What is exported is what training ended with, bit for bit, and the runner computes what the engine computes.
@Suite(.serialized) struct ExportTests {
  /// Recipes' words for palettes of every form, trained for a few steps.
  static let forms = [
    "",
    "groupSize=8 gradient=straight-through",
    "groupSize=16 axis=1 bits=3 gradient=implicit",
    "channelScale=true bits=2",
    "channelScale=true entries=int8 groupSize=16",
    "entries=int8 enforceZero=true prune=0.3",
    "vector=2 bits=6",
    "vector=4 axis=1 groupSize=16 channelScale=true entries=int8 enforceZero=true gradient=straight-through",
    "iOS26 channelScale=true bits=2",
    "iOS26 groupSize=1 channelScale=true",
    "iOS26 channelScale=true entries=int8 groupSize=16",
    "iOS26 entries=int8 vector=2 groupSize=16",
    "bits=2 layers=[{\"match\":\"*.conv*\",\"bits\":8},{\"match\":\"*.ff.*\",\"groupSize\":4}]",
  ]

  @Test(arguments: forms)
  func packageHoldsTheCheckpointsWeights(form: String) throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let words =
      form.isEmpty
      ? []
      : ["--set", "export.target=\(form.hasPrefix("iOS26") ? "iOS26" : "iOS18")"]
        + form.split(separator: " ").filter { $0 != "iOS26" }.flatMap { ["--set", "clustering.\($0)"] }
    // The smallest values that go through every phase.
    let result = try Program.run(
      ["--recipe", "recipes/smoke.json", "--output", folder, "--set", "evaluation.timesteps=[500]"] + words)
    #expect(result.status == 0, "\(result.errors)")
    let hard = try #require(try RunCheckpoint.read(folder + "/state.h5").hard)
    let constants = try PackageConstants(folder + "/Unet.mlpackage")
    for name in hard.names {
      let expected = try #require(hard.weights[name]).decoded.elements
      let found = try #require(try constants.decoded(name), "\(name) is not in the package")
      #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(name)")
    }
  }

  /// The runner and the training engine on the same hard weights, for both forms of attention and every target.
  ///
  /// They differ by summation order (1e-6), by constants that a package stores in half precision (attention scale,
  /// norm epsilons, timestep frequencies) and by `batch_norm`'s own epsilon of 1e-5: in all 2e-3 of the peak at worst,
  /// which the frequencies dominate; so the native side is given the stored frequencies' error at timestep 0, where
  /// they do not matter, and the bound there is 1e-4.
  @Test(arguments: [
    "iOS16 splitEinsum 4", "iOS17 original 2", "iOS18 splitEinsum 3", "iOS18 original 6", "iOS26 splitEinsum 4",
  ])
  func runnerAgreesWithTheEngine(form: String) throws {
    let words = form.split(separator: " ").map(String.init)
    let scratch = try ScratchFolder()
    let folder = Program.repository.appending(path: "checkpoints/emoji-sd/unet").path
    let (unet, store) = try ModelComponent(folder: folder).unet()
    let hard = try HardWeights(
      postTraining: store, try clustering(bits: Int(words[2]) ?? 4))
    let exporter = UNetExporter(
      unet.configuration,
      options: ExportOptions(
        target: try #require(DeploymentTarget(rawValue: words[0])),
        attention: words[1] == "original" ? .original : .splitEinsum),
      batch: 2, height: 16, width: 16, tokens: 24)
    let path = scratch.file("Unet.mlpackage")
    try exporter.write(hard, to: path, metadata: Metadata())
    let model = try PackageModel(path: path)
    let native = try UNet(hard.store(origin: "hard"), unet.configuration)

    var generator = TorchGenerator(seed: 7)
    let sample = Tensor([2, 4, 16, 16], HalfPrecision.rounded(Buffer(generator.normals(2048))))
    let context = Tensor([2, 24, 128], HalfPrecision.rounded(Buffer(generator.normals(6144))))
    for (timestep, bound) in [(Float(0), 1e-4), (Float(601), 2e-3)] {
      let steps = Tensor([2], [timestep, timestep])
      let expected = Execution.withoutGradients {
        native(sample.channelsLast(), timestep: steps, context: context).channelsFirst()
      }
      let text = context.permuted(0, 2, 1)
      let outputs = try model.run(inputs: [
        "sample": NamedTensor(shape: [2, 4, 16, 16], elements: sample.buffer),
        "timestep": NamedTensor(shape: [2], elements: steps.buffer),
        "encoder_hidden_states": NamedTensor(shape: [2, 128, 1, 24], elements: text.buffer),
      ])
      let found = try #require(outputs["noise_pred"]).elements.elements
      let result = ParityCase(
        "runner/\(form)/t\(Int(timestep))", error: relativeError(found, expected.elements),
        bound: bound)
      #expect(result.holds, "\(result)")
    }
  }

  private func clustering(bits: Int) throws -> ClusteringRecipe {
    try JSONDecoder().decode(ClusteringRecipe.self, from: Data("{\"bits\": \(bits)}".utf8))
  }
}
