import Foundation
import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// Damaged packages are refused or run; they never stop the process.
@Suite(.serialized, .timeLimit(.minutes(5))) struct DamageTests {
  private static let parts = [
    "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin",
    "Manifest.json",
  ]

  /// Loads, and runs on zeros what loads.
  private func attempt(_ package: String) -> Bool {
    do {
      let model = try PackageModel(path: package)
      var inputs: [String: NamedTensor] = [:]
      for input in model.inputs {
        let shape = input.shape.map { $0 ?? 1 }
        guard let count = TensorShape.count(shape), count < 1 << 22 else { return true }
        inputs[input.name] = NamedTensor(shape: shape, elements: Buffer(count: count))
      }
      guard model.peakMemoryBytes < 1 << 28 else { return true }
      _ = try model.run(inputs: inputs)
      return true
    } catch {
      #expect(!"\(error)".contains("\n"))
      return false
    }
  }

  @Test(
    arguments: [
      "v1_text_encoder_pal6", "v1_safety_checker_fp16", "s_unet_ios18_original_sparse_pal4",
      "s_unet_ios18_original_pal4_g16_cd2_pcs",
    ], parts)
  func survivesChangedBytes(_ name: String, _ part: String) throws {
    let sources = try #require(Bundle.module.resourcePath) + "/Packages/"
    let scratch = try ScratchFolder()
    let package = scratch.file("a.mlpackage")
    try FileManager.default.copyItem(atPath: sources + name + ".mlpackage", toPath: package)
    let file = package + "/" + part
    let sound = try Data(contentsOf: URL(filePath: file))
    var generator = SplitMix(seed: 7)
    var refused = 0
    // The networks take longer to load, so that they get fewer rounds.
    let rounds = name.contains("unet") ? 40 : 150
    for round in 0..<rounds {
      var bytes = sound
      for _ in 0...round % 4 {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
          UInt8.random(in: 0...255, using: &generator)
      }
      if round % 5 == 0 { bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &generator)) }
      try bytes.write(to: URL(filePath: file))
      if !attempt(package) { refused += 1 }
    }
    print("\(name) \(part): \(refused) of \(rounds) damaged copies refused")
  }
}

extension Buffer {
  /// Zeros.
  fileprivate convenience init(count: Int) { self.init(repeating: 0, count: count) }
}
