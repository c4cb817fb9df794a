import Foundation
import Kernels
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Random numbers against torch, NumPy and CUDA.
@Suite struct RandomNumberTests {
  /// Bound 2e-6: torch's vectorized logarithm and sine lie 1.4e-6 from exact ones.
  @Test(.enabled(if: References.exists("rng/rng.safetensors")))
  func normalsMatchTorch() throws {
    let file = try References.safetensors("rng/rng.safetensors")
    for name in file.names where name.hasPrefix("torch_randn/") {
      let parts = name.split(separator: "/")
      var generator = TorchGenerator(seed: try #require(UInt64(parts[1].dropFirst(4))))
      let found = generator.normals(try #require(Int(parts[2].dropFirst(1))))
      check(name, found, try file.floats(name).elements)
    }
    for seed in Set(file.names.compactMap { $0.split(separator: "/").dropFirst().first })
    where file.shape(of: "torch_sequence/\(seed)/a_5") != nil {
      var generator = TorchGenerator(seed: try #require(UInt64(seed.dropFirst(4))))
      for (part, count) in [("a_5", 5), ("b_20", 20), ("c_3", 3), ("latents_1_4_8_8", 256)] {
        let name = "torch_sequence/\(seed)/\(part)"
        check(name, generator.normals(count), try file.floats(name).elements)
      }
    }
  }

  private func check(_ name: String, _ found: [Float], _ golden: [Float]) {
    #expect(found.count == golden.count)
    let error = zip(found, golden).map { Double(abs($0 - $1)) }.max() ?? .infinity
    let result = ParityCase("rng/\(name)", error: error, bound: 2e-6)
    #expect(result.holds, "\(result)")
  }

  /// The same operations in the same order: equal to the bit but for the logarithm, which may be off by one unit.
  @Test(.enabled(if: References.exists("rng/rng.safetensors")))
  func normalsMatchNumpy() throws {
    let file = try References.safetensors("rng/rng.safetensors")
    for name in file.names where name.hasPrefix("numpy_standard_normal/") {
      let parts = name.split(separator: "/")
      let words = parts[2].dropFirst(1).split(separator: "_")
      var generator = NumpyGenerator(seed: try #require(UInt32(parts[1].dropFirst(4))))
      let found = generator.doubles(try #require(Int(words[0])))
      let golden = try file.doubles(name)
      let single = name.hasSuffix("_as_f32")
      let error = zip(found, golden).map { abs((single ? Double(Float($0)) : $0) - $1) / max(1e-3, abs($1)) }
      let result = ParityCase(
        "rng/\(name)", error: error.max() ?? .infinity, bound: single ? 1.2e-7 : 4.5e-16)
      #expect(result.holds && found.count == golden.count, "\(result)")
    }
  }

  /// `torch.randn((3, 4), device="cuda")` with seed 0, as torch prints it.
  @Test func normalsMatchCUDA() {
    var generator = NvidiaGenerator(seed: 0)
    let golden: [Float] = [
      -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122,
      -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
    ]
    check("nvidia", generator.normals(12), golden)
  }
}
