internal import MIL

/// A residual block's shortcut before the block's other branch.
///
/// Programs list the shortcut last, so that the block's input, often the largest value alive, would wait for it. Where
/// the shortcut has fewer elements than its input, the other branch's first step, usually a norm, becomes the input's
/// last reader and may write over it.
struct ShortcutFirst {
  private let graph: StepGraph

  init(_ plan: Plan) { graph = StepGraph(plan) }

  /// The steps with every shortcut in front of the step that its input goes to besides.
  func callAsFunction(_ plan: Plan) -> [Plan.Step] {
    var moved: [Int: [Plan.Step]] = [:]
    var isMoved = Set<Int>()
    for (index, step) in plan.steps.enumerated() {
      guard let input = step.arguments["x"]?.first, let users = graph.bothUsers(of: input), users.second == index,
        users.first < index - 1, let maker = graph.maker(of: input),
        step.arguments.values.joined().allSatisfy({ $0 == input || plan.constants[$0] != nil }),
        let size = count(plan.steps[maker], input), let result = step.operation?.results.first?.shape,
        result.reduce(1, *) < size
      else { continue }
      moved[users.first, default: []].append(step)
      isMoved.insert(index)
    }
    return plan.steps.enumerated().flatMap { index, step in
      (moved[index] ?? []) + (isMoved.contains(index) ? [] : [step])
    }
  }

  /// Elements of one of a step's results.
  private func count(_ step: Plan.Step, _ slot: Int) -> Int? {
    guard let position = step.outputs.firstIndex(of: slot) else { return nil }
    return step.operation?.results[position].shape?.reduce(1, *)
  }
}
