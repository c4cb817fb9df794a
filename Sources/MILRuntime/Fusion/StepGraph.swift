/// Which step makes a value, and which use it.
struct StepGraph {
  private var makers: [Int: Int] = [:]
  private var users: [Int: [Int]] = [:]

  init(_ plan: Plan) {
    for (index, step) in plan.steps.enumerated() {
      for slot in step.outputs { makers[slot] = index }
      for slot in step.arguments.values.joined() { users[slot, default: []].append(index) }
    }
    // Whoever asks for an output is no step.
    for output in plan.outputs { users[output.slot, default: []].append(-1) }
  }

  func maker(of slot: Int) -> Int? { makers[slot] }

  func uses(of slot: Int) -> Int { users[slot, default: []].count }

  /// The two steps that use a value, in their order, if there are just these.
  func bothUsers(of slot: Int) -> (first: Int, second: Int)? {
    guard let users = users[slot], users.count == 2, users[1] >= 0 else { return nil }
    return (users[0], users[1])
  }

  /// The step that makes a value which is used once, so that both can become one.
  func onlyMaker(of slot: Int) -> Int? { uses(of: slot) == 1 ? makers[slot] : nil }

  /// The only step that uses a value.
  func onlyUser(of slot: Int) -> Int? {
    guard let user = users[slot], user.count == 1, user[0] >= 0 else { return nil }
    return user[0]
  }
}

extension Plan {
  /// A step that takes the place of the last one of a chain.
  struct Fused {
    let absorbed: [Int]
    let last: Int
    let step: Step
  }

  /// The steps with every chain that `chain` finds, asked for each step in turn, as one step.
  func fusing(_ chain: (_ index: Int) -> Fused?) -> [Step] {
    var fused: [Step?] = steps
    for index in steps.indices {
      guard let found = chain(index) else { continue }
      for absorbed in found.absorbed { fused[absorbed] = nil }
      fused[found.last] = found.step
    }
    return fused.compactMap { $0 }
  }
}
