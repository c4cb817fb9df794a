internal import Foundation
internal import Kernels
package import StableDiffusion
internal import StrictJSON
internal import Tensors
internal import WeightFiles

/// A UNet that was distilled to be told its guidance (latent consistency models: `time_cond_proj_dim`).
///
/// diffusers adds a projection of the guidance's sines to the timestep's before the first linear layer. For one guidance
/// that is a constant, and goes into the layer's bias: `W (t + P e) + b = W t + (W P e + b)`. The rest of the world then sees
/// a plain UNet.
package struct GuidanceEmbedding {
  private let component: ModelComponent

  package init(_ component: ModelComponent) { self.component = component }

  /// Whether the network asks for its guidance.
  package var isNeeded: Bool { component.configuration.has(Self.key) }

  private static let key = "time_cond_proj_dim"
  /// What takes the guidance's sines.
  package static let projection = "time_embedding.cond_proj.weight"
  private static let (weight, bias) = ("time_embedding.linear_1.weight", "time_embedding.linear_1.bias")

  /// A plain UNet for one guidance.
  package func folded(_ guidance: Double) throws -> ModelComponent {
    let (json, weights) = (component.configuration, component.weights)
    guard json.has(Self.key) else { return component }
    let features = try json.integer(Self.key)
    guard let shape = weights.shape(of: Self.projection), shape.count == 2, shape[0] > 0, shape[1] == features,
      let matrix = weights.shape(of: Self.weight), matrix.count == 2, matrix[1] == shape[0],
      weights.shape(of: Self.bias) == [matrix[0]]
    else {
      throw ModelError.missing(
        part: "weight '\(weights.spelling(of: Self.projection))' of \(features) columns", path: weights.origin,
        hint: "config.json asks for it by \(Self.key)")
    }
    let embedded = Self.sines(guidance, features)
    let projected = Self.product(try weights.floats(Self.projection).elements, embedded)
    let shift = Self.product(try weights.floats(Self.weight).elements, projected)
    let moved = zip(try weights.floats(Self.bias).elements, shift).map { Float(Double($0) + $1) }
    let plain = ReplacedWeights(
      weights, [Self.bias: Buffer(moved)], removing: [Self.projection], note: "guidance \(guidance) folded in")
    return try ModelComponent(json.replacing([Self.key: nil]), plain)
  }

  /// diffusers' `get_guidance_scale_embedding` of the guidance less one.
  private static func sines(_ guidance: Double, _ features: Int) -> [Double] {
    let half = features / 2
    let angles = (0..<half).map { 1000 * (guidance - 1) * exp(-log(10000) * Double($0) / Double(max(1, half - 1))) }
    return angles.map { sin($0) } + angles.map { cos($0) } + (features % 2 == 1 ? [0] : [])
  }

  private static func product(_ matrix: [Float], _ vector: [Double]) -> [Double] {
    stride(from: 0, to: matrix.count, by: vector.count).map { row in
      vector.indices.reduce(0) { $0 + Double(matrix[row + $1]) * vector[$1] }
    }
  }
}
