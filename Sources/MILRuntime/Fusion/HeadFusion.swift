internal import Kernels
internal import MIL

/// Attention that a program spells out head by head, on slices and with a `concat` behind them (Apple's split-einsum),
/// becomes one step on what was sliced: no slice is copied, and all heads are shared out at once.
struct HeadFusion {
  private let graph: StepGraph

  init(_ plan: Plan) { graph = StepGraph(plan) }

  /// The steps with the attention of all heads in the place of the `concat`.
  func callAsFunction(_ plan: Plan) -> [Plan.Step] {
    plan.fusing { joined(endingAt: $0, plan) }
  }

  private func joined(endingAt index: Int, _ plan: Plan) -> Plan.Fused? {
    let last = plan.steps[index]
    guard let concatenation = last.operation as? Concatenation, let values = last.arguments["values"] else {
      return nil
    }
    var absorbed: [Int] = []
    var heads: [FusedAttention] = []
    var arguments: [String: [Int]]?
    for (value, target) in zip(values, concatenation.targets) {
      guard let maker = graph.onlyMaker(of: value),
        let attention = (plan.steps[maker].operation as? FusedAttentionStep)?.attention,
        let query = source("query", of: maker, attention.q, tokens: attention.queries, attention, plan),
        let key = source("key", of: maker, attention.k, tokens: attention.keys, attention, plan),
        let value = source("value", of: maker, attention.v, tokens: attention.keys, attention, plan),
        let output = attention.o.seen(through: target, tokens: attention.queries, features: attention.features)
      else { return nil }
      let sources = ["query": [query.slot], "key": [key.slot], "value": [value.slot]]
      guard arguments == nil || arguments == sources else { return nil }
      arguments = sources
      absorbed += [maker] + [query, key, value].compactMap(\.slice)
      heads.append(
        FusedAttention(
          queries: attention.queries, keys: attention.keys, features: attention.features, scale: attention.scale,
          q: query.operand, k: key.operand, v: value.operand, o: output))
    }
    guard let arguments, let all = FusedAttention(joining: heads) else { return nil }
    let step = Plan.Step(
      kind: last.kind, place: last.place, arguments: arguments, outputs: last.outputs, declared: last.declared,
      operation: FusedAttentionStep(attention: all, results: concatenation.results))
    return Plan.Fused(absorbed: absorbed, last: index, step: step)
  }

  /// Where an operand's elements lie before they are sliced, if they are.
  private func source(
    _ name: String, of step: Int, _ operand: FusedAttention.Operand, tokens: Int, _ attention: FusedAttention,
    _ plan: Plan
  ) -> (slot: Int, operand: FusedAttention.Operand, slice: Int?)? {
    guard let slot = plan.steps[step].arguments[name]?.first else { return nil }
    guard let maker = graph.onlyMaker(of: slot), let slice = plan.steps[maker].operation as? SliceByIndex,
      let base = plan.steps[maker].arguments["x"]?.first
    else { return (slot, operand, nil) }
    return operand.seen(through: slice.view, tokens: tokens, features: attention.features).map { (base, $0, maker) }
  }
}
