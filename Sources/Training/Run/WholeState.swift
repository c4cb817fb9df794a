internal import Checkpoints
internal import Distribution
internal import Foundation
internal import Kernels
internal import Recipes

extension RunState {
  /// What it holds of some weights.
  func part(_ names: Set<String>) -> RunState {
    let keys = names.union(names.map(Self.tableKey)).union(names.map(Self.scaleKey))
    var part = RunState(
      step: step, parameters: parameters.filter { names.contains($0.key) },
      moments: moments.filter { keys.contains($0.key) }, centroids: centroids.filter { names.contains($0.key) },
      scales: scales.filter { names.contains($0.key) }, frozen: frozen.filter { names.contains($0.key) },
      losses: losses)
    part.rateScale = rateScale
    part.samplers = samplers
    return part
  }

  /// The state of all weights, from what every rank keeps of it.
  ///
  /// - Returns: nil on all ranks but the first.
  func whole(_ recipe: Recipe, _ ranks: Ranks) throws -> RunState? {
    guard ranks.count > 1 else { return self }
    guard let arrays = try ranks.gather(RunCheckpoint.arrays(of: self)) else { return nil }
    let all = StateArrays(path: "rank", arrays: arrays)
    var whole = try PaletteArrays(arrays: all, recipe: recipe).state(
      step: step, parameters: try all.parameters("parameters"), losses: losses)
    whole.rateScale = rateScale
    whole.samplers = try all.samplers()
    return whole
  }
}

extension Ranks {
  /// An array as it is announced before its elements follow.
  private struct Announcement: Codable {
    let name: String
    let shape: [Int]
    let isBytes: Bool
  }

  /// The arrays of all ranks.
  ///
  /// - Returns: nil on all ranks but the first.
  fileprivate func gather(_ arrays: [String: CheckpointArray]) throws -> [String: CheckpointArray]? {
    let announcements = arrays.sorted { $0.key < $1.key }.map {
      Announcement(name: $0.key, shape: $0.value.shape, isBytes: $0.value.floats == nil)
    }
    let list = [UInt8](try JSONEncoder().encode(announcements))
    let lengths = try sum((0..<count).map { $0 == rank ? Double(list.count) : 0 }).map { Int($0) }
    guard isFirst else {
      var messages = [try send(PackedBytes(list).words, to: 0)]
      for announcement in announcements {
        if let words = arrays[announcement.name]?.words { messages.append(try send(words, to: 0)) }
      }
      for message in messages { try message.wait() }
      return nil
    }
    var all = arrays
    for other in others {
      let list = try received(bytes: lengths[other], from: other).withBytes { Data($0.withUnsafeBytes(Array.init)) }
      for announcement in try JSONDecoder().decode([Announcement].self, from: list) {
        all[announcement.name] = try received(announcement, from: other)
      }
    }
    return all
  }

  private func received(_ array: Announcement, from rank: Int) throws(RankError) -> CheckpointArray {
    let count = array.shape.reduce(1, *)
    if array.isBytes { return CheckpointArray(shape: array.shape, .packed(try received(bytes: count, from: rank))) }
    let message = try receive(count, from: rank)
    try message.wait()
    return CheckpointArray(message.buffer, shape: array.shape)
  }

  private func received(bytes count: Int, from rank: Int) throws(RankError) -> PackedBytes {
    let message = try receive(PackedBytes.words(count), from: rank)
    try message.wait()
    return PackedBytes(words: message.buffer, count: count)
  }
}

extension CheckpointArray {
  /// Floats as they are, bytes four to a word.
  fileprivate var words: Buffer {
    switch values {
    case .floats(let buffer): buffer
    case .packed(let bytes): bytes.words
    case .bytes(let bytes): PackedBytes(bytes).words
    case .doubles, .integers: preconditionFailure("the state of a weight is floats and bytes")
    }
  }
}
