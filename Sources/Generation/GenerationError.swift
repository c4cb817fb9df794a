/// Why no picture was made; each one line.
package enum GenerationError: Error, CustomStringConvertible, Equatable {
  /// A component is in none of the places where it was looked for.
  case missing(component: String, place: String, hint: String)
  /// A package whose inputs or outputs are not those of its kind.
  case package(path: String, expected: String, found: String)
  /// Parts that do not fit each other, such as a text encoder and a UNet of different models.
  case mismatch(what: String, expected: String, found: String)
  /// A value of the request.
  case option(name: String, expected: String, found: String)
  /// The network's answer has no numbers in it.
  case notANumber(component: String, step: Int? = nil)

  /// The user asked to stop.
  case interrupted

  package var description: String {
    switch self {
    case .missing(let component, let place, let hint): "\(place): no \(component): \(hint)"
    case .package(let path, let expected, let found):
      "\(path): expected \(expected), found \(found)"
    case .mismatch(let what, let expected, let found): "\(what): expected \(expected), found \(found)"
    case .option(let name, let expected, let found): "\(name): expected \(expected), found \(found)"
    case .interrupted: "interrupted"
    case .notANumber(let component, let step):
      "\(component): not a number\(step.map { " at step \($0)" } ?? ""): is the model sound, and is its prediction type "
        + "right? In fp16, some models overflow: try fp32"
    }
  }
}
