internal import Foundation
internal import MILRuntime
package import StableDiffusion
package import Tensors

/// A UNet package, or one in two chunks, computed by the runner from packed weights.
package struct PackageDenoiser: Denoiser {
  private let model: PackageModel
  /// The second half of a UNet in two chunks; its inputs are the first one's inputs and outputs, by name.
  private let rest: PackageModel?
  /// `[batch, channels, height, width]`
  private let sample: [Int]
  /// Features and tokens of the text states.
  private let features, tokens: Int
  /// Whether they are `[batch, features, 1, tokens]`, as Apple's converter has them, or `[batch, tokens, features]`, as
  /// coreml-diffusion's.
  private let hasTokensLast: Bool
  /// Numbers of picture size for each row; nil if it takes none.
  private let sizes: Int?
  /// Whether they are one list for all rows, as converters of 2023 have them.
  private let joinsSizes: Bool

  package init(_ path: String) throws {
    let second = try Self.secondChunk(of: path)
    model = try PackageModel(path: path)
    rest = try second.map { try PackageModel(path: $0) }
    sample = try model.shape(of: "sample", rank: 4)
    let context = try model.shape(of: "encoder_hidden_states", ranks: 3...4)
    guard [4, 9].contains(sample[1]), sample.allSatisfy({ $0 > 0 }) else {
      throw GenerationError.package(
        path: path, expected: "sample [batch, 4 or 9, height, width]", found: "\(sample)")
    }
    hasTokensLast = context.count == 4
    guard context[0] == sample[0], context.count == 3 || context[2] == 1 else {
      throw GenerationError.package(
        path: path,
        expected: "encoder_hidden_states [\(sample[0]), features, 1, tokens] or [\(sample[0]), tokens, features]",
        found: "\(context)")
    }
    (features, tokens) = hasTokensLast ? (context[1], context[3]) : (context[2], context[1])
    guard model.inputs.contains(where: { $0.name == "time_ids" }) else {
      (sizes, joinsSizes) = (nil, false)
      return
    }
    let axes = try model.shape(of: "time_ids", ranks: 1...2)
    joinsSizes = axes.count == 1
    sizes = joinsSizes ? axes[0] / sample[0] : axes[1]
  }

  /// Samples in a call.
  package var batch: Int { sample[0] }
  package func sizeConditions(pooled: Int) -> Int? { sizes }
  package var inputChannels: Int { sample[1] }
  package var fixedSize: (height: Int, width: Int)? { (sample[2], sample[3]) }
  package var usualSize: (height: Int, width: Int) { (sample[2], sample[3]) }
  package var fixedTokens: Int? { tokens }

  package func callAsFunction(
    _ sample: Tensor, timestep: Float, _ conditioning: Conditioning, _ extras: DenoiserExtras
  ) throws -> Tensor {
    let states = conditioning.states
    guard states.shape[1] == tokens, states.shape[2] == features else {
      throw GenerationError.mismatch(
        what: model.path, expected: "text states of \(tokens) tokens and \(features) features",
        found: "\(states.shape[1]) and \(states.shape[2])")
    }
    let text = hasTokensLast ? Execution.withoutGradients { states.permuted(0, 2, 1) } : states
    let count = sample.shape[0]
    let parts = try stride(from: 0, to: count, by: batch).map { start in
      // A shorter batch is filled up with its last row.
      let rows = (start..<start + batch).map { min($0, count - 1) }
      var inputs: [String: Tensor] = [
        "sample": sample.rows(rows), "timestep": Tensor(repeating: timestep, shape: [batch]),
        "encoder_hidden_states": hasTokensLast
          ? Tensor([batch, features, 1, tokens], text.rows(rows).buffer) : text.rows(rows),
      ]
      if sizes != nil {
        let own = extras.sizes?.rows(rows)
        inputs["time_ids"] = joinsSizes ? own.map { $0.reshaped([$0.shape.count]) } : own
        inputs["text_embeds"] = conditioning.pooled?.rows(rows)
      }
      for (index, residual) in extras.residuals.enumerated() {
        inputs["additional_residual_\(index)"] = residual.rows(rows)
      }
      let output = try predicted(inputs)
      let wanted: Shape = [batch, 4, self.sample[2], self.sample[3]]
      guard output.shape == wanted else {
        throw GenerationError.package(
          path: model.path, expected: "noise_pred \(wanted)", found: "\(output.shape)")
      }
      return output.rows(Array(0..<min(batch, count - start)))
    }
    return .stacked(parts)
  }

  private func predicted(_ inputs: [String: Tensor]) throws -> Tensor {
    guard let rest else { return try model.result("noise_pred", inputs: inputs) }
    func known(_ values: [String: Tensor], _ model: PackageModel) -> [String: Tensor] {
      values.filter { name, _ in model.inputs.contains { $0.name == name } }
    }
    let handed = try model.results(inputs: known(inputs, model))
    let all = inputs.merging(handed) { $1 }
    return try rest.result("noise_pred", inputs: known(all, rest))
  }

  /// The other half of `…Chunk1.mlpackage` or `…chunk1.mlpackage`, compiled or not.
  private static func secondChunk(of path: String) throws(GenerationError) -> String? {
    let name = path.hasSuffix("/") ? String(path.dropLast()) : path
    let endings = [".mlpackage", ".mlmodelc"]
    guard let ending = endings.first(where: { name.hasSuffix("hunk1" + $0) }) else { return nil }
    let other = "\(name.dropLast("1".count + ending.count))2\(ending)"
    guard FileManager.default.fileExists(atPath: other) else {
      throw .missing(component: "second half", place: other, hint: "a UNet in chunks has two")
    }
    return other
  }
}
