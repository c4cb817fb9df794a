internal import Kernels
internal import MIL

/// The transpose of a convolution over one or two spatial axes: every pixel is spread over a window of the result.
struct TransposedConvolution: MILOperation {
  static let kinds = [
    OperationKind(
      "conv_transpose",
      [
        .required("x", .floats), .required("weight", .floats), .optional("bias", .floats),
        .optional("strides", .integers), .optional("pad_type", .text), .optional("pad", .integers),
        .optional("dilations", .integers), .optional("groups", .integers), .optional("output_shape", .integers),
      ], TransposedConvolution.self)
  ]

  let results: [TensorType]
  private let windows: [Window]
  private let groups: Int
  /// Output channels of a group.
  private let outputs: Int

  /// Along one spatial axis: the result's pixels, and those of `x` that lie in windows of the kernel over it.
  private struct Window {
    let size, kernel, stride, dilation, before, output: Int

    /// The result's pixel below place `tap` of pixel `at`'s window; nil if it is cut off.
    func target(_ at: Int, _ tap: Int) -> Int? {
      let target = at * stride + tap * dilation - before
      return 0..<output ~= target ? target : nil
    }
  }

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let weight = try call.shape("weight")
    guard x.count == 3 || x.count == 4 else { throw call.refuse("x", "one or two spatial axes", "\(x)") }
    groups = try call.integer("groups", or: 1)
    guard weight.count == x.count, groups > 0, x[1] > 0, weight[0] == x[1], x[1] % groups == 0
    else {
      throw call.refuse("weight", "channels that go with \(x) in \(groups) groups", "\(weight)")
    }
    outputs = weight[1]
    if call.has("bias"), try call.shape("bias") != [outputs * groups] {
      throw call.refuse("bias", "[\(outputs * groups)]", "\(try call.shape("bias"))")
    }
    windows = try Self.windows(call, x, weight)
    let shape = [x[0], outputs * groups] + windows.map(\.output)
    guard TensorShape.count(shape) != nil, TensorShape.count(x + weight[1...]) != nil else {
      throw .tooLarge(call.place, what: "an image of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    if call.has("output_shape"), try call.integers("output_shape") != shape {
      throw call.refuse("output_shape", "\(shape)", "\(try call.integers("output_shape"))")
    }
    results = [TensorType(try call.type("x"), shape)]
  }

  private static func windows(_ call: Call, _ x: [Int], _ weight: [Int]) throws(MILError) -> [Window] {
    let rank = x.count - 2
    func numbers(_ name: String, _ count: Int, _ standard: Int, _ allowed: ClosedRange<Int>) throws(MILError) -> [Int] {
      let values = try call.integers(name, or: [Int](repeating: standard, count: count))
      guard values.count == count, values.allSatisfy(allowed.contains) else {
        throw call.refuse(name, "\(count) numbers from \(allowed.lowerBound) to \(allowed.upperBound)", "\(values)")
      }
      return values
    }
    let strides = try numbers("strides", rank, 1, 1...1 << 20)
    let dilations = try numbers("dilations", rank, 1, 1...1 << 20)
    let custom = try numbers("pad", 2 * rank, 0, 0...1 << 20)
    let type = try call.text("pad_type", or: "valid")
    var windows: [Window] = []
    for axis in 0..<rank {
      let (size, kernel) = (x[axis + 2], weight[axis + 2])
      let full = (size - 1) * strides[axis] + dilations[axis] * (kernel - 1) + 1
      let cut: (before: Int, after: Int)
      switch type {
      case "valid": cut = (0, 0)
      case "custom": cut = (custom[2 * axis], custom[2 * axis + 1])
      case "same":
        let total = max(0, full - size * strides[axis])
        cut = (total / 2, total - total / 2)
      default: throw call.refuse("pad_type", "valid, custom or same", "'\(type)'")
      }
      guard size > 0, kernel > 0, full > cut.before + cut.after else {
        throw call.refuse("pad", "less than the result's \(full) pixels", "\(cut)")
      }
      windows.append(
        Window(
          size: size, kernel: kernel, stride: strides[axis], dilation: dilations[axis], before: cut.before,
          output: full - cut.before - cut.after))
    }
    return windows
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats, let weight = try call.value("weight").floats else {
      throw call.refuse("x", "floats", "\(x.type)")
    }
    let bias = call.has("bias") ? try call.value("bias").floats : nil
    let (inputs, plane) = (x.shape[1] / groups, x.shape[2...].reduce(1, *))
    let taps = windows.reduce(outputs) { $0 * $1.kernel }
    let out = windows.reduce(1) { $0 * $1.output }
    let y = Buffer(repeating: 0, count: x.shape[0] * groups * outputs * out)
    if let bias {
      for channel in 0..<x.shape[0] * groups * outputs {
        for at in channel * out..<(channel + 1) * out { y.pointer[at] = bias[channel % bias.count] }
      }
    }
    // What every pixel adds to each place of its window: `[outputs · kernel, pixels]`.
    let spread = Buffer(uninitialized: taps * plane)
    for block in 0..<x.shape[0] * groups {
      MatrixProduct.multiply(
        Matrix(weight, offset: block % groups * inputs * taps, stride: taps, transposed: true),
        Matrix(floats, offset: block * inputs * plane, stride: plane), into: Matrix(spread, stride: plane),
        m: taps, n: plane, k: inputs)
      add(spread, plane, to: y, at: block * outputs * out, out)
    }
    return [RuntimeValue(x.type, results[0].shape ?? [], y)]
  }

  private func add(_ spread: Buffer, _ plane: Int, to y: Buffer, at first: Int, _ out: Int) {
    let wide = windows[windows.count - 1]
    let high =
      windows.count == 2 ? windows[0] : Window(size: 1, kernel: 1, stride: 1, dilation: 1, before: 0, output: 1)
    for channel in 0..<outputs {
      for (up, across) in (0..<high.kernel).flatMap({ up in (0..<wide.kernel).map { (up, $0) } }) {
        let tap = (channel * high.kernel + up) * wide.kernel + across
        for row in 0..<high.size {
          guard let line = high.target(row, up) else { continue }
          for column in 0..<wide.size {
            guard let place = wide.target(column, across) else { continue }
            y.pointer[first + channel * out + line * wide.output + place] +=
              spread[tap * plane + row * wide.size + column]
          }
        }
      }
    }
  }
}
