internal import Kernels
internal import StableDiffusion
internal import Tensors

/// Where the first number that is none came from.
struct Divergence {
  private let state: RunState

  init(_ state: RunState) { self.state = state }

  /// The first of arrays with an element that is no finite number.
  static func first(_ arrays: some Sequence<(String, Buffer)>) -> String? {
    arrays.first { array in
      // A state that lies in a file is larger than memory.
      defer { array.1.letGo() }
      return !Elementwise.sumOfSquares(array.1).isFinite
    }?.0
  }

  /// The first of a state's weights, factors, entries or moments that is not finite.
  var weight: String? {
    let names = state.parameters.keys.sorted()
    if let name = Self.first(names.lazy.map { ($0, state.parameters[$0]!.buffer) }) { return "weight '\(name)'" }
    if let name = Self.first(state.scales.sorted { $0.key < $1.key }.lazy.map { ($0.key, $0.value) }) {
      return "the channels' factors of '\(name)'"
    }
    if let name = state.centroids.keys.sorted().first(where: { !state.centroids[$0]!.allSatisfy(\.isFinite) }) {
      return "the palette of '\(name)'"
    }
    let tables = state.frozen.sorted { $0.key < $1.key }.lazy.map { ($0.key, $0.value.table) }
    return Self.first(tables).map { "the palette of '\($0)'" }
  }

  /// What went wrong first in a forward pass whose loss is not finite.
  ///
  /// - Parameters:
  ///   - student: the network with its palettes.
  ///   - teacher: the full-precision one, if it was asked.
  func forward(_ student: () throws -> UNet.Outputs, teacher: UNet.Outputs?) rethrows -> String {
    if let weight { return weight }
    if let teacher, let place = Self.place(teacher) { return "the full-precision model, \(place)" }
    return Self.place(try Execution.withoutGradients(student)) ?? "the loss"
  }

  /// The first block whose output is not finite, and the first sample there.
  private static func place(_ outputs: UNet.Outputs) -> String? {
    let count = outputs.blocks.count
    for (index, output) in (outputs.blocks + [outputs.prediction]).enumerated() {
      let rows = output.shape[0]
      let size = output.shape.count / max(1, rows)
      guard let at = output.elements.firstIndex(where: { !$0.isFinite }) else { continue }
      let block = index == count ? "the prediction" : "block \(index + 1) of \(count)"
      return "\(block), sample \(at / max(1, size) + 1) of \(rows)"
    }
    return nil
  }
}
