import Foundation
import Generation
import MILRuntime
import StableDiffusion
import TestSupport
import Testing

/// Packages laid out as Apple's Swift package looks for them.
@Suite struct ConvertBundleTests {
  private static let model = Program.repository.appending(path: "checkpoints/emoji-sd").path

  /// What folders say in files of JSON, packages must say themselves.
  @Test func bundleKnowsItsPredictionAndScale() throws {
    let scratch = try ScratchFolder()
    let model = scratch.file("model")
    try FileManager.default.copyItem(atPath: Self.model, toPath: model)
    for (file, from, to) in [
      ("scheduler/scheduler_config.json", "\"epsilon\"", "\"v_prediction\""),
      ("vae/config.json", "\"_class_name\"", "\"scaling_factor\": 0.5, \"_class_name\""),
    ] {
      let path = "\(model)/\(file)"
      let json = try String(contentsOfFile: path, encoding: .utf8)
      let others = json.split(separator: "\n").filter { !$0.contains("scaling_factor") }.joined(separator: "\n")
      try others.replacingOccurrences(of: from, with: to).write(toFile: path, atomically: true, encoding: .utf8)
    }
    let result = try Program.run([
      "convert", "--model", model, "--components", "unet,text-encoder,vae-decoder", "--bundle-resources-for-swift-cli",
      "--output", scratch.file("out"),
    ])
    #expect(result.status == 0, "\(result.errors)")
    let bundle = try ModelSet(scratch.file("out") + "/Resources")
    let pipeline = try Pipeline(bundle, GenerationRequest(prompt: "a red heart"))
    #expect(pipeline.configuration.schedule.prediction == .velocity)
    #expect(try LatentGeometry(bundle).scalingFactor == 0.5)
  }

  @Test func bundleHasApplesNames() throws {
    let scratch = try ScratchFolder()
    let result = try Program.run([
      "convert", "--model", Self.model, "--components", "text-encoder,vae-decoder",
      "--bundle-resources-for-swift-cli", "--output", scratch.file("out"),
    ])
    #expect(result.status == 0, "\(result.errors)")
    let resources = scratch.file("out") + "/Resources"
    let names = try FileManager.default.contentsOfDirectory(atPath: resources).sorted()
    #expect(names == ["TextEncoder.mlpackage", "VAEDecoder.mlpackage", "merges.txt", "vocab.json"])
    #expect(result.output.contains("xcrun coremlcompiler compile '\(resources)/TextEncoder.mlpackage' '\(resources)'"))
    for name in names where name.hasSuffix(".mlpackage") {
      _ = try PackageModel(path: "\(resources)/\(name)")
    }
  }
}
