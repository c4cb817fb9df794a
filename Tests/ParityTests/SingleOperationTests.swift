import Foundation
import Kernels
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Every operation of `backward/ops` against torch: value and vector-Jacobian products.
///
/// Bound 2e-6 of the largest element: torch itself lies 5e-7 from double precision (README of the references).
@Suite struct SingleOperationTests {
  @Test(.enabled(if: References.exists("backward/ops/ops.json")))
  func valuesAndGradientsMatchTorch() throws {
    let list = try References.json("backward/ops/ops.json") as? [String: Any]
    let cases = try #require(list?["cases"] as? [[String: Any]])
    #expect(!cases.isEmpty)
    for entry in cases {
      let operation = try #require(entry["op"] as? String)
      let name = try #require(entry["case"] as? String)
      let golden = try GoldenOperation(
        operation, name, attributes: entry["attrs"] as? [String: Any] ?? [:])
      for result in try golden.compare() { #expect(result.holds, "\(result)") }
    }
  }
}

/// One case: its inputs as leaves, its output and gradients to compare with.
struct GoldenOperation {
  let operation: String
  let name: String
  let attributes: [String: Any]
  let file: SafetensorsFile

  init(_ operation: String, _ name: String, attributes: [String: Any]) throws {
    self.operation = operation
    self.name = name
    self.attributes = attributes
    file = try References.safetensors("backward/ops/\(operation).safetensors")
  }

  func input(_ key: String) throws -> Tensor? {
    let full = "\(name)/in.\(key)"
    guard let shape = file.shape(of: full), file.elementType(of: full) == .float32 else { return nil }
    return Tensor(Shape(shape), try file.floats(full)).leaf(named: key)
  }

  func required(_ key: String) throws -> Tensor { try #require(try input(key)) }

  func number(_ key: String) -> Double? { (attributes[key] as? NSNumber)?.doubleValue }

  func compare() throws -> [ParityCase] {
    let y = try evaluate()
    let label = "op/\(operation)/\(name)"
    var results = [
      ParityCase(
        "\(label) out", error: relativeError(y.elements, try file.floats("\(name)/out").elements),
        bound: try outputBound())
    ]
    guard file.shape(of: "\(name)/grad_out") != nil else { return results }
    let seed = Tensor(y.shape, try file.floats("\(name)/grad_out"))
    let gradients = y.gradients(seed: seed)
    for key in file.names where key.hasPrefix("\(name)/grad.") {
      let input = String(key.dropFirst("\(name)/grad.".count))
      let found = gradients[input]?.elements ?? []
      results.append(
        ParityCase(
          "\(label) d\(input)", error: relativeError(found, try file.floats(key).elements),
          bound: 2e-6))
    }
    return results
  }

  /// A frequency is `exp` of a 32-bit number, and libraries differ in its last bit (2⁻²⁴ below one); the angle is that
  /// times the timestep, so the difference is too. Nothing else is so ill-conditioned.
  func outputBound() throws -> Double {
    guard operation == "timestep_embedding" else { return 2e-6 }
    let largest = try required("timesteps").elements.max() ?? 0
    return 2e-6 + Double(largest) * 0x1p-24
  }

  func evaluate() throws -> Tensor {
    switch operation {
    case "conv2d": return try convolution()
    case "linear": return try linear(try required("input"))
    case "group_norm": return try groupNorm()
    case "layer_norm":
      let operation = LayerNorm(epsilon: Float(number("eps") ?? 1e-5))
      guard let weight = try input("weight") else { return operation(try required("input")) }
      return operation(try required("input"), weight, try required("bias"))
    case "activation":
      let function = try #require(
        Elementwise.Function(rawValue: attributes["fn"] as? String ?? ""))
      return try required("input").activated(function)
    case "geglu": return try linear(try required("input"), "proj.").geglu()
    case "softmax":
      let x = try required("input")
      return attributes["axis"] as? Int == 1
        ? x.permuted(0, 2, 1).softmax().permuted(0, 2, 1) : x.softmax()
    case "attention": return try attention()
    case "attention_module": return try attentionModule()
    case "upsample_nearest2x", "upsample_nearest_size": return try upsample()
    case "embedding":
      let rows = try file.integers("\(name)/in.ids")
      let table = try required("weight")
      return TokenEmbedding()(Tensor([1, rows.count], rows.map(Float.init)), table)
        .reshaped([rows.count, table.shape[1]])
    case "concat":
      return Concatenate()(try required("a").channelsLast(), try required("b").channelsLast())
        .channelsFirst()
    case "timestep_embedding":
      return TimestepEmbedding(
        features: Int(number("dim") ?? 0),
        flipped: attributes["flip_sin_to_cos"] as? Bool ?? true,
        frequencyShift: Float(number("downscale_freq_shift") ?? 0))(try required("timesteps"))
    case "mse_loss": return try required("a").meanSquaredError(to: try required("b"))
    case "broadcast_mul_add":
      return try required("x") * required("s") + required("b")
    case "matmul": return try required("a").matrixProduct(try required("b"))
    case "avg_pool2d": return try averagePool()
    default: throw UnknownOperation(name: operation)
    }
  }

  struct UnknownOperation: Error { let name: String }

  func convolution() throws -> Tensor {
    let stride = Int(number("stride") ?? 1)
    var padding = Convolution2D.Padding(Int(number("padding") ?? 0))
    if let pair = attributes["padding"] as? [Int] {
      padding = .init(vertical: pair[0], horizontal: pair[1])
    } else if attributes["padding"] is String {
      padding = .init(top: 0, left: 0, bottom: 1, right: 1)
    }
    let inputs = [try required("input").channelsLast(), try required("weight")]
    return Convolution2D(stride: stride, padding: padding)
      .apply(inputs + [try input("bias")].compactMap { $0 }).channelsFirst()
  }

  func linear(_ x: Tensor, _ prefix: String = "") throws -> Tensor {
    let inputs = [x, try required(prefix + "weight")]
    return Linear().apply(inputs + [try input(prefix + "bias")].compactMap { $0 })
  }

  func groupNorm() throws -> Tensor {
    let x = try required("input")
    let operation = GroupNorm(
      groups: Int(number("groups") ?? 1), epsilon: Float(number("eps") ?? 1e-5), silu: false)
    if x.shape.rank == 3 {
      return operation(x.permuted(0, 2, 1), try required("weight"), try required("bias"))
        .permuted(0, 2, 1)
    }
    return operation(x.channelsLast(), try required("weight"), try required("bias"))
      .channelsFirst()
  }

  /// `[batch, heads, tokens, features]` to the engine's `[batch, tokens, heads · features]`.
  func attention() throws -> Tensor {
    func tokens(_ key: String) throws -> Tensor {
      let x = try required(key)
      return x.permuted(0, 2, 1, 3).reshaped([x.shape[0], x.shape[2], x.shape[1] * x.shape[3]])
    }
    let q = try required("q")
    let operation = Attention(
      heads: q.shape[1], features: q.shape[3], scale: Float(number("scale") ?? 1),
      causal: attributes["mask"] != nil)
    let y = operation(try tokens("q"), try tokens("k"), try tokens("v"))
    return y.reshaped([q.shape[0], q.shape[2], q.shape[1], q.shape[3]]).permuted(0, 2, 1, 3)
  }

  func attentionModule() throws -> Tensor {
    let x = try required("hidden_states")
    let context = try input("encoder_hidden_states") ?? x
    let heads = Int(number("heads") ?? 1)
    let q = Linear()(x, try required("to_q.weight"))
    let k = Linear()(context, try required("to_k.weight"))
    let v = Linear()(context, try required("to_v.weight"))
    let o = Attention(heads: heads, features: q.shape.last / heads)(q, k, v)
    return Linear()(o, try required("to_out.0.weight"), try required("to_out.0.bias"))
  }

  func upsample() throws -> Tensor {
    let x = try required("input")
    let size = attributes["size"] as? [Int] ?? [x.shape[2] * 2, x.shape[3] * 2]
    return x.channelsLast().upsampled(height: size[0], width: size[1]).channelsFirst()
  }

  /// The mean of 2×2 pixels as a convolution of each channel with a constant kernel.
  func averagePool() throws -> Tensor {
    let x = try required("input")
    let (n, c, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    let images = x.reshaped([n * c, h, w, 1])
    let kernel = Tensor(repeating: 0.25, shape: [1, 1, 2, 2])
    return Convolution2D(stride: 2, padding: .init(0))(images, kernel)
      .reshaped([n, c, h / 2, w / 2])
  }
}
