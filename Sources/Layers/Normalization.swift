package import Tensors

/// Group normalization of `[batch, …, channels]`, optionally with SiLU behind it.
package struct GroupNormLayer: Sendable {
  let weight: Parameter
  let bias: Parameter
  let operation: GroupNorm

  package init(
    _ scope: ParameterScope, channels: Int, groups: Int, epsilon: Float, silu: Bool = false
  ) throws(ParameterError) {
    weight = try scope.parameter("weight", [channels])
    bias = try scope.parameter("bias", [channels])
    operation = GroupNorm(groups: groups, epsilon: epsilon, silu: silu)
  }

  package func callAsFunction(_ x: Tensor) -> Tensor { operation(x, weight.value, bias.value) }
}

/// Layer normalization of the last axis.
package struct LayerNormLayer: Sendable {
  let weight: Parameter
  let bias: Parameter
  let operation: LayerNorm

  package init(
    _ scope: ParameterScope, features: Int, epsilon: Float = 1e-5
  ) throws(ParameterError) {
    weight = try scope.parameter("weight", [features])
    bias = try scope.parameter("bias", [features])
    operation = LayerNorm(epsilon: epsilon)
  }

  package func callAsFunction(_ x: Tensor) -> Tensor { operation(x, weight.value, bias.value) }
}
