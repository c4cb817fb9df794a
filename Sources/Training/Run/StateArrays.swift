internal import Checkpoints
internal import Files
internal import Kernels
internal import Tensors

/// The arrays of a checkpoint that every kind of run has, checked as they are taken.
struct StateArrays {
  let path: String
  let arrays: [String: CheckpointArray]

  subscript(name: String) -> CheckpointArray? { arrays[name] }

  func names(in group: String) -> [String] {
    arrays.keys.filter { $0.hasPrefix(group + "/") }.map { String($0.dropFirst(group.count + 1)) }.sorted()
  }

  func floats(_ name: String, count: Int? = nil) throws(FileError) -> Buffer {
    guard let buffer = arrays[name]?.floats else {
      throw .missing(file: path, item: "array of floats '\(name)'")
    }
    guard buffer.count == count ?? buffer.count else {
      throw .malformedItem(
        file: path, item: name, expected: "\(count ?? 0) numbers", found: "\(buffer.count)")
    }
    return buffer
  }

  func bytes(_ name: String, count: Int) throws(FileError) -> [UInt8] {
    guard let bytes = arrays[name]?.bytes, bytes.count == count else {
      throw malformed(name, bytes: count)
    }
    return bytes
  }

  /// Bytes for kernels.
  func packed(_ name: String, count: Int) throws(FileError) -> PackedBytes {
    guard let bytes = arrays[name]?.packed, bytes.count == count else {
      throw malformed(name, bytes: count)
    }
    return bytes
  }

  private func malformed(_ name: String, bytes: Int) -> FileError {
    .malformedItem(
      file: path, item: name, expected: "\(bytes) bytes",
      found: arrays[name].map { "\($0.count) values" } ?? "nothing")
  }

  func parameters(_ group: String) throws(FileError) -> NamedArrays {
    var parameters: NamedArrays = [:]
    for name in names(in: group) {
      let key = "\(group)/\(name)"
      parameters[name] = (Shape(arrays[key]?.shape ?? []), try floats(key))
    }
    return parameters
  }

  /// Where samplers are, by number.
  func samplers() throws(FileError) -> [Int: Tensor] {
    var samplers: [Int: Tensor] = [:]
    for name in names(in: "samplers") {
      let latents = try floats("samplers/\(name)")
      let shape = arrays["samplers/\(name)"]?.shape ?? []
      guard let number = Int(name), shape.count == 4, shape[0] == 1, latents.elements.allSatisfy(\.isFinite) else {
        throw .malformedItem(
          file: path, item: "samplers/\(name)",
          expected: "finite latents of a numbered sampler, [1, height, width, channels]", found: "\(shape)")
      }
      samplers[number] = Tensor(Shape(shape), latents)
    }
    return samplers
  }

  func losses(steps: Int) throws(FileError) -> [RunState.StepLoss] {
    guard let loss = arrays["losses/loss"]?.doubles,
      let norm = arrays["losses/gradient_norm"]?.doubles, loss.count == steps, norm.count == steps
    else {
      throw .malformedItem(
        file: path, item: "losses", expected: "\(steps) steps", found: "another number")
    }
    return zip(loss, norm).map { RunState.StepLoss(loss: $0, gradientNorm: $1) }
  }
}

extension [String: CheckpointArray] {
  mutating func add(_ parameters: NamedArrays, under group: String) {
    for (name, parameter) in parameters {
      self["\(group)/\(name)"] = CheckpointArray(parameter.buffer, shape: parameter.shape.axes)
    }
  }

  mutating func add(_ losses: [RunState.StepLoss]) {
    self["losses/loss"] = CheckpointArray(shape: [losses.count], .doubles(losses.map(\.loss)))
    self["losses/gradient_norm"] = CheckpointArray(
      shape: [losses.count], .doubles(losses.map(\.gradientNorm)))
  }
}
