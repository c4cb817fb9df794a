internal import Foundation
internal import Kernels
internal import MIL

/// Functions of every element with parameters: of upscalers' and other networks, rare in Stable Diffusion.
struct ParametricActivation: MILOperation {
  static let kinds: [OperationKind] =
    parameters.keys.sorted().map { name in
      OperationKind(
        name, [.required("x", .floats)] + (parameters[name] ?? []).map { .required($0, .number) },
        ParametricActivation.self)
    }
    + perChannel.keys.sorted().map { name in
      OperationKind(
        name, [.required("x", .floats)] + (perChannel[name] ?? []).map { .required($0, .floats) },
        ParametricActivation.self)
    }

  private static let parameters: [String: [String]] = [
    "clamped_relu": ["alpha", "beta"], "elu": ["alpha"], "leaky_relu": ["alpha"],
    "linear_activation": ["alpha", "beta"],
    "relu6": [], "scaled_tanh": ["alpha", "beta"], "sigmoid_hard": ["alpha", "beta"], "softplus": [], "softsign": [],
    "threshold": ["alpha"], "thresholded_relu": ["alpha"],
  ]

  /// With a parameter for each channel, the second axis.
  private static let perChannel = ["prelu": ["alpha"], "softplus_parametric": ["alpha", "beta"]]

  let results: [TensorType]
  private let function: @Sendable (_ x: Float, _ alpha: Float, _ beta: Float) -> Float
  /// Elements of a channel, and channels; of one parameter for all, all of them and one.
  private let plane, channels: Int

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    results = [TensorType(try call.type("x"), x)]
    function = Self.function(call.operation)
    guard let names = Self.perChannel[call.operation] else {
      (plane, channels) = (max(1, x.reduce(1, *)), 1)
      return
    }
    guard x.count >= 3 else { throw call.refuse("x", "a batch, channels and at least one more axis", "\(x)") }
    for name in names where try call.shape(name) != [x[1]] {
      throw call.refuse(name, "\(x[1]) numbers, one for each channel", "\(try call.shape(name))")
    }
    (plane, channels) = (max(1, x[2...].reduce(1, *)), x[1])
  }

  private static func function(_ name: String) -> @Sendable (Float, Float, Float) -> Float {
    // ln(1 + eˣ), without overflow.
    @Sendable func softplus(_ x: Float) -> Float { max(x, 0) + log1p(exp(-abs(x))) }
    switch name {
    case "leaky_relu", "prelu": return { x, alpha, _ in x >= 0 ? x : alpha * x }
    case "elu": return { x, alpha, _ in x > 0 ? x : alpha * expm1(x) }
    case "relu6": return { x, _, _ in min(max(x, 0), 6) }
    case "softplus": return { x, _, _ in softplus(x) }
    case "softplus_parametric": return { x, alpha, beta in alpha * softplus(beta * x) }
    case "softsign": return { x, _, _ in x / (1 + abs(x)) }
    case "sigmoid_hard": return { x, alpha, beta in min(max(alpha * x + beta, 0), 1) }
    case "scaled_tanh": return { x, alpha, beta in alpha * tanh(beta * x) }
    case "linear_activation": return { x, alpha, beta in alpha * x + beta }
    case "threshold": return { x, alpha, _ in max(x, alpha) }
    case "thresholded_relu": return { x, alpha, _ in x >= alpha ? x : 0 }
    default: return { x, alpha, beta in min(beta, x >= 0 ? x : alpha * x) }
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    let alpha = try values("alpha", call)
    let beta = try values("beta", call)
    let y = Buffer(count: floats.count) { y in
      floats.withSpan { x in
        for index in 0..<x.count {
          let channel = index / plane % channels
          y[index] = function(x[index], alpha[channel], beta[channel])
        }
      }
    }
    return [RuntimeValue(x.type, x.shape, y)]
  }

  private func values(_ name: String, _ call: Call) throws(MILError) -> [Float] {
    guard channels > 1 || call.operation == "prelu" || call.operation == "softplus_parametric" else {
      return [try call.number(name, or: 0)]
    }
    guard call.has(name) else { return [Float](repeating: 0, count: channels) }
    guard let floats = try call.value(name).floats else { throw call.refuse(name, "floats", "another type") }
    return floats.elements
  }
}
