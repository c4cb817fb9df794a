internal import Kernels
internal import MIL

/// An operation that is a batch of matrix products.
protocol MatrixProductOperation: MILOperation {
  var batch: MatrixBatch { get }
}

/// Attention that a program spells out as product, perhaps a scale, softmax and product, in any arrangement of its
/// operands, becomes one step whose scores never exist as a whole.
struct AttentionFusion {
  private let graph: StepGraph

  init(_ plan: Plan) { graph = StepGraph(plan) }

  /// The steps with every such chain in the place of its last step.
  func callAsFunction(_ plan: Plan) -> [Plan.Step] {
    plan.fusing { chain(endingAt: $0, plan) }
  }

  private func chain(endingAt index: Int, _ plan: Plan) -> Plan.Fused? {
    let last = plan.steps[index]
    guard let values = last.operation as? any MatrixProductOperation, let operands = Self.operands(last) else {
      return nil
    }
    for (side, weights) in operands.enumerated() {
      guard let softmaxIndex = graph.onlyMaker(of: weights), plan.steps[softmaxIndex].kind.name == "softmax",
        let softmax = plan.steps[softmaxIndex].operation as? Softmax,
        let input = plan.steps[softmaxIndex].arguments["x"]?.first,
        let (scoreIndex, scale, between) = scores(input, plan),
        let product = plan.steps[scoreIndex].operation as? any MatrixProductOperation,
        let inputs = Self.operands(plan.steps[scoreIndex]),
        let fused = Self.fused(
          product.batch, softmax.layout, values.batch, weightsOnTheRight: side == 1, scale: scale)
      else { continue }
      let (attention, keysFirst) = fused
      let step = Plan.Step(
        kind: last.kind, place: last.place,
        arguments: [
          "query": [inputs[keysFirst ? 1 : 0]], "key": [inputs[keysFirst ? 0 : 1]],
          "value": [operands[1 - side]],
        ], outputs: last.outputs, declared: last.declared,
        operation: FusedAttentionStep(attention: attention, results: values.results))
      return Plan.Fused(absorbed: between + [softmaxIndex, scoreIndex], last: index, step: step)
    }
    return nil
  }

  /// The product behind a softmax's input, and the scale between them.
  private func scores(_ slot: Int, _ plan: Plan) -> (index: Int, scale: Float, between: [Int])? {
    guard let index = graph.onlyMaker(of: slot) else { return nil }
    let step = plan.steps[index]
    if step.operation is any MatrixProductOperation { return (index, 1, []) }
    guard step.kind.name == "mul", let x = step.arguments["x"]?.first, let y = step.arguments["y"]?.first else {
      return nil
    }
    for (value, factor) in [(x, y), (y, x)] {
      guard let constant = plan.constants[factor], constant.count == 1, let scale = constant.floats?[0],
        let product = graph.onlyMaker(of: value), plan.steps[product].operation is any MatrixProductOperation
      else { continue }
      return (product, scale, [index])
    }
    return nil
  }

  private static func operands(_ step: Plan.Step) -> [Int]? {
    let slots = step.arguments["values"] ?? (step.arguments["x"] ?? []) + (step.arguments["y"] ?? [])
    return slots.count == 2 ? slots : nil
  }

  /// - Returns: nil when the arrangement is another one.
  private static func fused(
    _ scores: MatrixBatch, _ softmax: AxisLayout, _ values: MatrixBatch, weightsOnTheRight: Bool, scale: Float
  ) -> (FusedAttention, keysFirst: Bool)? {
    // Along which axis of the scores' matrix the softmax goes.
    let keysFirst: Bool
    if softmax.inner == 1, softmax.width == scores.n {
      keysFirst = false
    } else if softmax.inner == scores.z.stride, softmax.width == scores.m {
      keysFirst = true
    } else {
      return nil
    }
    let weights = weightsOnTheRight ? values.y : values.x
    // Where the second product sums over the first axis of its stored weights.
    let sumsOverFirst = weightsOnTheRight != weights.transposed
    let (keys, queries) = keysFirst ? (scores.m, scores.n) : (scores.n, scores.m)
    guard weights.offsets == scores.z.offsets, weights.stride == scores.z.stride, sumsOverFirst == keysFirst,
      values.k == keys, (weightsOnTheRight ? values.n : values.m) == queries,
      (weightsOnTheRight ? values.m : values.n) == scores.k, scores.k > 0, keys > 0, queries > 0,
      scores.z.offsets.count > 0
    else { return nil }
    let left = operand(scores.x, tokensFirst: true)
    let right = operand(scores.y, tokensFirst: false)
    let v = weightsOnTheRight ? operand(values.x, tokensFirst: false) : operand(values.y, tokensFirst: true)
    let o = operand(values.z, tokensFirst: !weightsOnTheRight)
    return (
      FusedAttention(
        queries: queries, keys: keys, features: scores.k, scale: scale, q: keysFirst ? right : left,
        k: keysFirst ? left : right, v: v, o: o), keysFirst
    )
  }

  /// A matrix as tokens of features.
  private static func operand(_ x: MatrixBatch.Operand, tokensFirst: Bool) -> FusedAttention.Operand {
    let rowsAreTokens = tokensFirst != x.transposed
    return .init(
      offsets: x.offsets, tokenStride: rowsAreTokens ? x.stride : 1, featureStride: rowsAreTokens ? 1 : x.stride)
  }
}

/// What takes the place of such a chain.
struct FusedAttentionStep: RunnableOperation {
  let attention: FusedAttention
  let results: [TensorType]

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let type = results[0]
    guard let q = try call.value("query").floats, let k = try call.value("key").floats,
      let v = try call.value("value").floats, let shape = type.shape
    else { throw call.refuse("query", "floats", "another type") }
    let o = Buffer(uninitialized: shape.reduce(1, *))
    attention.forward(q, k, v, into: o)
    return [RuntimeValue(type.dataType, shape, o)]
  }
}
