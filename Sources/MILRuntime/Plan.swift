internal import MIL

/// A checked program: values are numbered slots, constants are filled in, operations are prepared.
struct Plan: Sendable {
  /// An input or output and its slot.
  struct Port: Sendable {
    let name: String
    let type: TensorType
    let slot: Int
  }

  struct Step: Sendable {
    let kind: OperationKind
    let place: Place
    /// Slots of every argument.
    let arguments: [String: [Int]]
    let outputs: [Int]
    let declared: [TensorType]
    /// `nil` when shapes or deciding values are only known while running.
    let operation: (any RunnableOperation)?
    /// Slots that nothing reads after this step.
    var released: [Int] = []
  }

  var inputs: [Port] = []
  var outputs: [Port] = []
  var steps: [Step] = []
  /// One entry a slot; `nil` for what is computed.
  var constants: [RuntimeValue?] = []
  var peakBytes = 0
}

extension Plan.Step {
  /// The slot of the argument whose place the result may take, if no other value shares its elements.
  var overwritten: Int? {
    guard operation is any OverwritingOperation, let x = arguments["x"]?.first, released.contains(x),
      arguments.values.joined().count(where: { $0 == x }) == 1
    else { return nil }
    return x
  }

  /// Whether nothing but this step reads the elements of `x`, a caller's or another shape of them included.
  private func isOnlyReader(_ values: inout [RuntimeValue?]) -> Bool {
    guard let slot = overwritten, let (type, shape) = values[slot].map({ ($0.type, $0.shape) }),
      case .floats(var elements)? = values[slot]?.storage
    else { return false }
    values[slot] = nil
    let isOnly = isKnownUniquelyReferenced(&elements)
    values[slot] = RuntimeValue(type, shape, elements)
    return isOnly
  }

  /// Puts the results into their slots, clears those that end here, and lets go of the weights' file.
  func run(_ values: inout [RuntimeValue?]) throws(MILError) {
    let overwriting = isOnlyReader(&values)
    for (slot, result) in zip(outputs, try results(values, overwriting: overwriting)) { values[slot] = result }
    for slot in released { values[slot] = nil }
    for slot in arguments.values.joined() {
      if case .packed(let constant)? = values[slot]?.storage { constant.letGo() }
    }
  }

  private func results(_ values: [RuntimeValue?], overwriting: Bool) throws(MILError) -> [RuntimeValue] {
    let call = Call(
      place: place, operation: kind.name,
      arguments: arguments.mapValues { slots in
        slots.map { slot in
          guard let value = values[slot] else {
            preconditionFailure("\(place): a value is used before it is there")
          }
          return Argument(value)
        }
      }, declared: declared)
    let operation: any RunnableOperation
    if let prepared = self.operation {
      operation = prepared
    } else {
      operation = try kind.prepare(call)
      _ = try Plan.matched(operation.results, declared, place)
    }
    let results =
      if overwriting, let operation = operation as? any OverwritingOperation {
        try operation.run(call, overwriting: true)
      } else {
        try operation.run(call)
      }
    // Only what the data decided is new here; the rest was checked before.
    _ = try Plan.matched(results.map(\.tensorType), declared, place)
    return results
  }
}

extension Plan {
  /// The declared types with unknown dimensions filled in from the inferred ones.
  ///
  /// - Throws: when they contradict each other.
  static func matched(
    _ inferred: [TensorType], _ declared: [TensorType], _ place: Place
  ) throws(MILError) -> [TensorType] {
    func refusal() -> MILError {
      .declaration(
        place, declared: declared.map(\.description).joined(separator: ", "),
        inferred: inferred.map(\.description).joined(separator: ", "))
    }
    guard inferred.count == declared.count else { throw refusal() }
    var types: [TensorType] = []
    for (inferred, declared) in zip(inferred, declared) {
      guard inferred.dataType == declared.dataType,
        inferred.dimensions.count == declared.dimensions.count
      else { throw refusal() }
      var type = declared
      for axis in declared.dimensions.indices {
        guard let size = inferred.dimensions[axis] else { continue }
        guard declared.dimensions[axis] == nil || declared.dimensions[axis] == size else {
          throw refusal()
        }
        type.dimensions[axis] = size
      }
      guard TensorShape.count(type.dimensions.map { $0 ?? 0 }) != nil else {
        throw .tooLarge(place, what: "\(type)", limit: "\(TensorShape.limit) elements")
      }
      types.append(type)
    }
    return types
  }
}
