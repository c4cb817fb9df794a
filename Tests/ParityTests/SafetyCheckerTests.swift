import Foundation
import Kernels
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// A safety checker against diffusers: the picture's embedding (bound 5e-6, as for text encoders) and the judgement.
@Suite struct SafetyCheckerTests {
  @Test(.enabled(if: References.exists("safety")), arguments: References.entries("safety"))
  func matchesDiffusers(entry: String) throws {
    let model = entry.replacingOccurrences(of: ".safetensors", with: "")
    let file = try References.safetensors("safety/\(entry)")
    let checker = try ModelComponent(folder: References.path("models/\(model)/safety_checker")).safetyChecker()
    let pictures = try file.tensor("pictures").channelsLast()
    let golden = try file.tensor("embeddings")
    let flags = try file.integers("flags")
    for index in 0..<pictures.shape[0] {
      let picture = pictures.rows([index])
      let (embedding, concepts) = Execution.withoutGradients {
        (checker.embedding(picture), checker.concepts(in: picture))
      }
      let result = ParityCase(
        "safety/\(model)/\(index)",
        error: relativeError(embedding.elements, golden.rows([index]).elements), bound: 5e-6)
      #expect(result.holds, "\(result)")
      #expect(concepts.isEmpty == (flags[index] == 0))
    }
    #expect(Set(flags).count == 2)
  }
}
