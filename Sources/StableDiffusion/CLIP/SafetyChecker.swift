internal import Foundation
package import Layers
package import Tensors

/// Compares pictures with concepts that a model's makers do not want shown.
///
/// Known to diffusers as `StableDiffusionSafetyChecker`: CLIP's vision half, a projection, and for every concept a
/// direction and a threshold.
package struct SafetyChecker: Sendable {
  /// Pixels of the side of the pictures it looks at.
  package let side: Int
  private let patch: Int
  private let features: Int
  private let classEmbedding, positions, patches: Parameter
  private let normIn, normOut: LayerNormLayer
  private let layers: [CLIPLayer]
  private let projection: LinearLayer
  package let concepts, specialCare: Concepts

  package struct Concepts: Sendable {
    /// `[concepts, projection]`
    package let directions: Parameter
    /// `[concepts]`
    package let thresholds: Parameter

    /// Cosines with the embedding, less the thresholds.
    func excesses(_ embedding: [Float]) -> [Double] {
      let (rows, limits) = (directions.value.elements, thresholds.value.elements)
      func length(_ x: some Sequence<Float>) -> Double {
        x.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      }
      return limits.enumerated().map { index, limit in
        let row = rows[index * embedding.count..<(index + 1) * embedding.count]
        let product = zip(row, embedding).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        return product / max(1e-12, length(row) * length(embedding)) - Double(limit)
      }
    }
  }

  /// - Parameter json: sizes are CLIP-L/14's where it is silent, as transformers has them.
  package init(_ source: any ParameterSource, _ whole: JSONConfiguration, shapes: (String) -> Shape?) throws {
    let file = whole.file
    let json = whole.object("vision_config")
    let features = try json.integer("hidden_size", default: 768)
    let patch = try json.integer("patch_size", default: 32)
    let side = try json.integer("image_size", default: 224)
    let heads = try json.integer("num_attention_heads", default: 12)
    let intermediate = try json.integer("intermediate_size", default: 3072)
    let epsilon = try Float(json.number("layer_norm_eps", default: 1e-5))
    let name = try json.string("hidden_act", default: "quick_gelu")
    guard let activation = TextEncoderConfiguration.Activation(rawValue: name), features % heads == 0,
      side % patch == 0, side <= 4096
    else {
      throw ConfigurationError.unsupported(
        file, key: "vision_config", value: "\(name), \(features), \(heads), \(side), \(patch)",
        expected: "gelu or quick_gelu, heads that divide the features, patches that divide the side")
    }
    (self.side, self.patch, self.features) = (side, patch, features)
    let scope = ParameterScope(source)
    let vision = scope["vision_model"].onlyPart("vision_model", with: "embeddings.class_embedding")
    let embeddings = vision["embeddings"]
    let count = side / patch * (side / patch) + 1
    classEmbedding = try embeddings.parameter("class_embedding", [features])
    patches = try embeddings["patch_embedding"].parameter("weight", [features, 3, patch, patch])
    positions = try embeddings["position_embedding"].parameter("weight", [count, features])
    normIn = try LayerNormLayer(vision["pre_layrnorm"], features: features, epsilon: epsilon)
    normOut = try LayerNormLayer(vision["post_layernorm"], features: features, epsilon: epsilon)
    var layers: [CLIPLayer] = []
    for index in 0..<(try json.integer("num_hidden_layers", default: 12)) {
      layers.append(
        try CLIPLayer(
          vision["encoder.layers"][index], features: features, intermediateFeatures: intermediate,
          heads: heads, epsilon: epsilon, activation: activation, causal: false))
    }
    self.layers = layers
    let width = shapes("visual_projection.weight")?.axes.first ?? 0
    projection = try LinearLayer(
      scope["visual_projection"], inputs: features, outputs: width, bias: false)
    func concepts(_ name: String) throws -> Concepts {
      let count = shapes(name + "_weights")?.axes.first ?? 0
      return Concepts(
        directions: try scope.parameter(name, [count, width]),
        thresholds: try scope.parameter(name + "_weights", [count]))
    }
    self.concepts = try concepts("concept_embeds")
    specialCare = try concepts("special_care_embeds")
  }

  /// The pictures as CLIP sees them: `[batch, projection]`.
  ///
  /// - Parameter x: normalized pictures, `[batch, side, side, 3]`
  package func embedding(_ x: Tensor) -> Tensor {
    let grid = Convolution2D(stride: patch, padding: .init(0)).apply([x, patches.value])
    let tokens = grid.shape[1] * grid.shape[2]
    let seen = grid.reshaped([grid.shape[0], tokens, features])
    let all = PrependedToken()(seen, classEmbedding.value)
    var h = normIn(all + LeadingRows(count: tokens + 1)(positions.value))
    for layer in layers { h = layer(h) }
    return projection(normOut(FirstToken()(h)))
  }

  /// How far above its threshold each concept is; a picture near one that asks for special care gets 0.01 more for all.
  ///
  /// - Parameters:
  ///   - embedding: of one picture
  ///   - adjustment: is added to the concepts of special care, as Apple's packages have it
  ///   - rounded: is applied before a score is compared
  package func scores(
    _ embedding: [Float], adjustment: Double = 0, rounded: (Double) -> Double = { $0 }
  ) -> [Double] {
    let isSpecial = specialCare.excesses(embedding).contains { rounded($0 + adjustment) > 0 }
    return concepts.excesses(embedding).map { rounded($0 + (isSpecial ? 0.01 : 0)) }
  }

  /// Numbers of the concepts that the picture comes too close to; scores have three digits, as diffusers' have.
  package func concepts(in x: Tensor) -> [Int] {
    scores(embedding(x).elements) { ($0 * 1000).rounded(.toNearestOrEven) / 1000 }
      .enumerated().compactMap { $1 > 0 ? $0 : nil }
  }
}
