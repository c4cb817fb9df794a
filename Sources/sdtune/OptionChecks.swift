internal import ArgumentParser
internal import Jobs

/// Refuses options that are given without what they are for.
///
/// - Parameter options: names, and whether they are given.
func require(_ needed: String, _ isGiven: Bool, for options: [(name: String, isGiven: Bool)]) throws {
  guard !isGiven, let option = options.first(where: \.isGiven) else { return }
  throw ValidationError("\(option.name): expected \(needed) with it, found none")
}

/// One of an enumeration's names.
func choice<Value: RawRepresentable & CaseIterable>(
  _ option: String, _ text: String
) throws -> Value where Value.RawValue == String {
  guard let value = Value(rawValue: text) else {
    throw JobError.option(
      name: option, expected: Value.allCases.map(\.rawValue).joined(separator: ", "), found: text)
  }
  return value
}

func choice<Value: RawRepresentable & CaseIterable>(
  _ option: String, _ text: String?
) throws -> Value? where Value.RawValue == String {
  guard let text else { return nil }
  let value: Value = try choice(option, text)
  return value
}
