internal import MIL

/// A residual block's shortcut before the block's other branch.
///
/// Programs compute the shortcut last, which keeps the block's input, often the largest value, alive until then. If the
/// shortcut is smaller than the input and the other branch can start in place, the shortcut is computed first, and the other
/// branch overwrites the input.
struct ShortcutFirst {
  private let graph: StepGraph

  init(_ plan: Plan) { graph = StepGraph(plan) }

  /// The steps with every shortcut in front of the step that its input goes to besides.
  func callAsFunction(_ plan: Plan) -> [Plan.Step] {
    var moved: [Int: [Plan.Step]] = [:]
    var isMoved = Set<Int>()
    for (index, step) in plan.steps.enumerated() {
      guard let input = step.arguments["x"]?.first, let users = graph.bothUsers(of: input), users.second == index,
        users.first < index - 1, plan.steps[users.first].operation is any OverwritingOperation,
        plan.steps[users.first].arguments["x"] == [input], let maker = graph.maker(of: input),
        step.arguments.values.joined().allSatisfy({ $0 == input || plan.constants[$0] != nil }),
        let size = elements(plan.steps[maker], [input]), let result = elements(step, step.outputs), result < size
      else { continue }
      moved[users.first, default: []].append(step)
      isMoved.insert(index)
    }
    return plan.steps.enumerated().flatMap { index, step in
      (moved[index] ?? []) + (isMoved.contains(index) ? [] : [step])
    }
  }

  /// Elements of some of a step's results, if they are known beforehand.
  private func elements(_ step: Plan.Step, _ slots: [Int]) -> Int? {
    let shapes = zip(step.outputs, step.operation?.results ?? []).compactMap { slots.contains($0) ? $1.shape : nil }
    return shapes.count == slots.count ? shapes.reduce(0) { $0 + $1.reduce(1, *) } : nil
  }
}
