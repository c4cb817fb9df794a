package import Tensors

/// Multi-head attention with its four projections.
///
/// Known to diffusers as `Attention` (`to_q`, `to_k`, `to_v`, `to_out.0`), to transformers as `CLIPAttention`.
package struct AttentionLayer: Sendable {
  /// The names of the projections.
  package struct Names: Sendable {
    let query, key, value, output: String

    package static let diffusers = Names(
      query: "to_q", key: "to_k", value: "to_v", output: "to_out.0")
    package static let transformers = Names(
      query: "q_proj", key: "k_proj", value: "v_proj", output: "out_proj")
  }

  private let query, key, value, output: LinearLayer
  private let operation: Attention

  /// - Parameters:
  ///   - features: of the queries and the result; divided among the heads.
  ///   - context: features of keys and values; those of the queries if not given.
  package init(
    _ scope: ParameterScope, names: Names = .diffusers, features: Int, context: Int? = nil,
    heads: Int, inputBias: Bool = false, causal: Bool = false
  ) throws(ParameterError) {
    query = try LinearLayer(
      scope[names.query], inputs: features, outputs: features, bias: inputBias)
    key = try LinearLayer(
      scope[names.key], inputs: context ?? features, outputs: features, bias: inputBias)
    value = try LinearLayer(
      scope[names.value], inputs: context ?? features, outputs: features, bias: inputBias)
    output = try LinearLayer(scope[names.output], inputs: features, outputs: features)
    operation = Attention(heads: heads, features: features / heads, causal: causal)
  }

  /// - Parameters:
  ///   - x: `[batch, queries, features]`
  ///   - context: `[batch, keys, context]`; `x` attends to itself if not given.
  /// - Returns: `[batch, queries, features]`
  package func callAsFunction(_ x: Tensor, context: Tensor? = nil) -> Tensor {
    let source = context ?? x
    return output(operation(query(x), key(source), value(source)))
  }
}
