public enum RecipeError: Error, CustomStringConvertible, Equatable {
  case invalid(path: String, expected: String, found: String)
  public var description: String { "\(self)" }
}
