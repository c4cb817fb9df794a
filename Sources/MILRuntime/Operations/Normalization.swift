internal import Kernels
internal import MIL

/// `γ (x − μ) / √(σ² + ε) + β` over axes together.
struct LayerNorm: MILOperation {
  static let kinds = [
    OperationKind(
      "layer_norm",
      [
        .required("x", .floats), .optional("axes", .integers), .optional("gamma", .floats),
        .optional("beta", .floats), .optional("epsilon", .number),
      ], LayerNorm.self),
    OperationKind(
      "l2_norm", [.required("x", .floats), .optional("epsilon", .number)], LayerNorm.self),
  ]

  let results: [TensorType]
  private let group: AxisGroup
  private let epsilon: Float

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    results = [TensorType(try call.type("x"), x)]
    if call.operation == "l2_norm" {
      guard x.count >= 3 else { throw call.refuse("x", "at least three axes", "\(x)") }
      group = AxisGroup(x, Array(x.indices.suffix(3)))
      epsilon = try call.number("epsilon", or: 1e-6)
      return
    }
    let axes = try call.axes("axes", rank: x.count, or: Array(x.indices)).sorted()
    group = AxisGroup(x, axes)
    epsilon = try call.number("epsilon", or: 1e-5)
    for name in ["gamma", "beta"] where call.has(name) {
      guard try call.shape(name) == axes.map({ x[$0] }) else {
        throw call.refuse(name, "\(axes.map { x[$0] })", "\(try call.shape(name))")
      }
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    let gathered = group.gathered(floats)
    let y: Buffer
    if call.operation == "l2_norm" {
      let squares = AxisKernels.reduce(.sumOfSquares, gathered, group.layout)
      let shape = [group.layout.outer, group.layout.width]
      y = Pointwise.combine(
        .multiply, gathered, strides: [group.layout.width, 1],
        Pointwise.apply(.rsqrt(epsilon: epsilon), squares), strides: [1, 0], shape: shape)
    } else {
      y = AxisKernels.normalize(
        gathered, group.layout, weight: call.has("gamma") ? try call.value("gamma").floats : nil,
        bias: call.has("beta") ? try call.value("beta").floats : nil, epsilon: epsilon)
    }
    return [RuntimeValue(x.type, x.shape, group.scattered(y))]
  }
}

/// `batch_norm` with stored moments, and `instance_norm` with those of each image and channel.
struct PerChannelNorm: MILOperation {
  static let kinds = [
    OperationKind(
      "batch_norm",
      [
        .required("x", .floats), .required("mean", .floats), .required("variance", .floats),
        .optional("gamma", .floats), .optional("beta", .floats), .optional("epsilon", .number),
      ], PerChannelNorm.self),
    OperationKind(
      "instance_norm",
      [
        .required("x", .floats), .optional("gamma", .floats), .optional("beta", .floats),
        .optional("epsilon", .number),
      ], PerChannelNorm.self),
  ]

  let results: [TensorType]
  let layout: AxisLayout
  private let epsilon: Float

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard x.count >= 3 || (x.count == 2 && call.operation == "batch_norm") else {
      throw call.refuse("x", "[batch, channels, …]", "\(x)")
    }
    layout = AxisLayout(outer: x[0], width: x[1], inner: x[2...].reduce(1, *))
    epsilon = try call.number("epsilon", or: 1e-5)
    results = [TensorType(try call.type("x"), x)]
    for name in ["mean", "variance", "gamma", "beta"] where call.has(name) {
      guard try call.shape(name) == [x[1]] else {
        throw call.refuse(name, "[\(x[1])]", "\(try call.shape(name))")
      }
    }
  }

  private func list(_ name: String, _ standard: Float, _ call: Call) throws(MILError) -> [Float] {
    call.has(name)
      ? (try call.value(name).floats?.elements ?? []) : [Float](repeating: standard, count: layout.width)
  }

  /// Factor and summand of each channel that a `batch_norm` amounts to.
  func storedMoments(_ call: Call) throws(MILError) -> (scale: [Float], shift: [Float]) {
    var (scale, shift) = (try list("gamma", 1, call), try list("beta", 0, call))
    let (mean, variance) = (try list("mean", 0, call), try list("variance", 1, call))
    for channel in 0..<layout.width {
      scale[channel] /= (variance[channel] + epsilon).squareRoot()
      shift[channel] -= mean[channel] * scale[channel]
    }
    return (scale, shift)
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard var floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    var (scale, shift) = (try list("gamma", 1, call), try list("beta", 0, call))
    if call.operation == "instance_norm" {
      let rows = AxisLayout(outer: layout.outer * layout.width, width: layout.inner, inner: 1)
      floats = AxisKernels.normalize(floats, rows, weight: nil, bias: nil, epsilon: epsilon)
    } else {
      (scale, shift) = try storedMoments(call)
    }
    let y = AxisKernels.scaleShift(floats, layout, scale: Buffer(scale), shift: Buffer(shift))
    return [RuntimeValue(x.type, x.shape, y)]
  }
}
