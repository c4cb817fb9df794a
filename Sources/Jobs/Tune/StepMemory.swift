internal import Foundation
internal import Recipes
internal import StableDiffusion
internal import Tensors
internal import Training

/// The memory of a training step at its peak, from the network's trace; in bytes.
struct StepMemory {
  /// The data, latent weights, moments, kept gradients, palettes, and the indices that the log compares with.
  let state: Int
  /// What the forward pass keeps for the backward pass.
  let kept: Int
  /// What computing the gradients of one block, or of one operation where none is recomputed, needs beside that.
  let block: Int
  /// Freed blocks that wait for their next use, and the program itself.
  let overhead: Int

  var peak: Int { state + kept + block + overhead }

  /// Operations whose gradients read their inputs again.
  private static let retaining: Set<String> = [
    "convolution", "linear", "group norm", "layer norm", "attention", "activation", "geglu",
    "matrix product", "mean squared error",
  ]
  private static let programBytes = 90 << 20

  /// - Parameters:
  ///   - data: what it takes, in bytes.
  ///   - ranks: processes that share out the state; each holds the weights of all layers beside its part.
  init(_ trace: Trace, _ weights: [String: Shape], _ recipe: Recipe, data: Int, ranks: Int = 1) {
    let training = recipe.training
    let count = weights.values.reduce(0) { $0 + $1.count }
    let clustered = weights.filter { recipe.clustering.palette(of: $0, shape: $1.axes) != nil }
    let moments =
      switch training.moments {
      case .single: 8 * count
      case .brainFloat: 4 * count
      case .bytes: 2 * count + count / 32
      }
    let gradients = training.gradientNorm > 0 ? 4 * count : min(4 * count, 2 * (64 << 20))
    let palettes = clustered.reduce(0) { $0 + recipe.clustering.stepBytes(of: $1.key, shape: $1.value.axes) }
    // What waits to be stepped together is about as large as the largest weight.
    let inUse =
      training.state == .memory ? 4 * count + moments : 8 * (weights.values.map(\.count).max() ?? 0) + (64 << 20)
    let indices = clustered.reduce(0) { sum, weight in
      let palette = recipe.clustering.palette(of: weight.key, shape: weight.value.axes)
      return sum + weight.value.count * (palette?.bits ?? 0) / 8 / (palette?.vector ?? 1)
    }
    // While entries are polished, a byte for each index instead of the soft palettes.
    let frozen =
      recipe.clustering.polishShare * Double(training.steps) < 1
      ? 0
      : clustered.reduce(0) { sum, weight in
        sum + weight.value.count / (recipe.clustering.palette(of: weight.key, shape: weight.value.axes)?.vector ?? 1)
      }
    let layers = ranks > 1 ? 4 * count : 0
    state = data + layers + gradients + (inUse + indices + max(palettes, frozen)) / ranks

    var read: Set<ObjectIdentifier> = []
    var leaving: Set<ObjectIdentifier> = []
    for node in trace.nodes {
      guard let history = node.history else { continue }
      for input in history.inputs.compactMap({ $0 }) {
        if Self.retaining.contains(node.name) { read.insert(ObjectIdentifier(input)) }
        if input.block != node.block { leaving.insert(ObjectIdentifier(input)) }
      }
    }
    var kept = 0
    var blocks: [ObjectIdentifier: Block] = [:]
    for node in trace.nodes {
      let key = ObjectIdentifier(node)
      guard let history = node.history else { continue }
      let bytes = 4 * node.shape.count
      if node.block == nil ? read.contains(key) : leaving.contains(key) { kept += bytes }
      guard let block = node.block else { continue }
      blocks[block, default: Block()].add(bytes: bytes, isRead: read.contains(key))
      for input in history.inputs.compactMap({ $0 }) where input.history == nil && weights[input.name] != nil {
        blocks[block, default: Block()].add(weightBytes: 4 * input.shape.count)
      }
    }
    self.kept = kept
    let largest = trace.nodes.filter { $0.history != nil }.map { 4 * $0.shape.count }.max() ?? 0
    let weight = 4 * (weights.values.map(\.count).max() ?? 0)
    let single = Block(readBytes: largest, largest: largest, weightBytes: weight, largestWeight: weight)
    block = blocks.values.map(\.peak).max() ?? single.peak
    overhead = max(192 << 20, (state + kept + block) * 3 / 80) + Self.programBytes
  }

  /// A recomputed block, or one operation.
  private struct Block {
    var readBytes = 0
    var largest = 0
    var weightBytes = 0
    var largestWeight = 0

    mutating func add(bytes: Int, isRead: Bool) {
      if isRead { readBytes += bytes }
      largest = max(largest, bytes)
    }

    mutating func add(weightBytes bytes: Int) {
      weightBytes += bytes
      largestWeight = max(largestWeight, bytes)
    }

    /// Activations, gradients of all weights, which leave the block together, one soft weight, and gradients of
    /// activations on their way.
    var peak: Int { readBytes + weightBytes + largestWeight + 3 * largest }
  }
}
