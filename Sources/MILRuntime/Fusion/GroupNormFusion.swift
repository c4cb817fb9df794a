internal import Kernels
internal import MIL

/// Group normalization that a program spells out as moments, differences and a `batch_norm` for weight and bias, with
/// `silu` behind it or not, becomes one step.
struct GroupNormFusion {
  private let graph: StepGraph

  init(_ plan: Plan) { graph = StepGraph(plan) }

  /// The steps with every such chain in the place of its last step.
  func callAsFunction(_ plan: Plan) -> [Plan.Step] {
    plan.fusing { Chain(endingAt: $0, plan, graph)?.fused(plan) }
  }

  private struct Chain {
    var absorbed: [Int]
    /// The `batch_norm`, or the `silu` behind it.
    var last: Int
    private let norm: Int
    private let input: Int
    private let groups: Int
    private let epsilon: Float

    /// Goes back from a `batch_norm`:
    ///
    ///     x = reshape(input), c = x − mean(x), y = batch_norm(reshape(c / √(mean(c²) + ε)))
    init?(endingAt index: Int, _ plan: Plan, _ graph: StepGraph) {
      func step(_ slot: Int?, _ name: String, uses: Int = 1) -> Int? {
        guard let slot, graph.uses(of: slot) == uses, let maker = graph.maker(of: slot),
          plan.steps[maker].kind.name == name
        else { return nil }
        return maker
      }
      func argument(_ step: Int, _ name: String = "x") -> Int? { plan.steps[step].arguments[name]?.first }
      func constant(_ slot: Int?) -> Float? {
        guard let slot, let value = plan.constants[slot], value.count == 1 else { return nil }
        return value.floats?[0]
      }
      guard plan.steps[index].kind.name == "batch_norm", let operation = plan.steps[index].operation as? PerChannelNorm,
        let image = step(argument(index), "reshape"), let quotient = step(argument(image), "real_div"),
        let root = step(argument(quotient, "y"), "sqrt"), let shifted = step(argument(root), "add"),
        let epsilon = constant(argument(shifted, "y")), let variance = step(argument(shifted), "reduce_mean"),
        let square = step(argument(variance), "square"), let centered = argument(quotient),
        argument(square) == centered, let difference = step(centered, "sub", uses: 2),
        let mean = step(argument(difference, "y"), "reduce_mean"), let grouped = argument(difference),
        argument(mean) == grouped, let reshape = step(grouped, "reshape", uses: 2), let input = argument(reshape),
        let means = plan.steps[mean].operation as? Reduction,
        let variances = plan.steps[variance].operation as? Reduction
      else { return nil }
      let (layout, channels) = (means.group.layout, operation.layout.width)
      let images = operation.layout.outer
      // Every group must be some whole channels of one image, one behind the other.
      guard means.keepsDimensions, variances.keepsDimensions, means.group.order == nil, layout.inner == 1,
        variances.group.layout == layout, variances.group.order == nil,
        images > 0, layout.outer % images == 0, layout.outer / images > 0, channels % (layout.outer / images) == 0,
        layout.outer * layout.width == images * channels * operation.layout.inner
      else { return nil }
      absorbed = [image, quotient, root, shifted, variance, square, difference, mean, reshape]
      norm = index
      last = index
      self.input = input
      self.epsilon = epsilon
      groups = layout.outer / images
      if let output = plan.steps[index].outputs.first, let user = graph.onlyUser(of: output),
        plan.steps[user].kind.name == "silu"
      {
        absorbed.append(index)
        last = user
      }
    }

    func fused(_ plan: Plan) -> Plan.Fused? {
      guard let operation = plan.steps[norm].operation as? PerChannelNorm else { return nil }
      let end = plan.steps[last]
      var arguments = plan.steps[norm].arguments
      arguments["x"] = [input]
      let step = Plan.Step(
        kind: end.kind, place: end.place, arguments: arguments, outputs: end.outputs, declared: end.declared,
        operation: FusedGroupNormStep(
          norm: operation, groups: groups, epsilon: epsilon, silu: last != norm, results: operation.results))
      return Plan.Fused(absorbed: absorbed, last: last, step: step)
    }
  }
}

/// What takes the place of such a chain.
struct FusedGroupNormStep: OverwritingOperation {
  let norm: PerChannelNorm
  let groups: Int
  let epsilon: Float
  let silu: Bool
  let results: [TensorType]

  func run(_ call: Call, overwriting: Bool) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats, let shape = results[0].shape else {
      throw call.refuse("x", "floats", "\(x.type)")
    }
    let (scale, shift) = try norm.storedMoments(call)
    let y = overwriting ? floats : Buffer(uninitialized: floats.count)
    PlanarGroupNorm(
      batch: norm.layout.outer, channels: norm.layout.width, pixels: norm.layout.inner, groups: groups,
      epsilon: epsilon, silu: silu)(floats, scale: Buffer(scale), shift: Buffer(shift), into: y)
    return [RuntimeValue(x.type, shape, y)]
  }
}
