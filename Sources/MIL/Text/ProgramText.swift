/// A program as text, which is what compiled models (`.mlmodelc`) hold in `model.mil`.
///
/// The text mirrors the program: one operation a line, in the same order, with the same names; nothing is folded or moved.
enum ProgramText {
  /// From specification 9 on, values of rank 0 are written without `tensor<…, []>`.
  struct Dialect {
    let version: String
    let hasShortScalars: Bool

    init(specificationVersion: Int32) {
      hasShortScalars = specificationVersion >= 9
      version = hasShortScalars ? "1.3" : "1.0"
    }
  }

  /// Names of an operation set in programs and in their text.
  private static let operationSets = [
    "CoreML5": "ios15", "CoreML6": "ios16", "CoreML7": "ios17", "CoreML8": "ios18", "CoreML9": "ios26",
  ]

  static func textName(ofOperationSet name: String) -> String? { operationSets[name] }

  static func operationSet(textName: String) -> String? { operationSets.first { $0.value == textName }?.key }

  /// Keys of `buildInfo` that Apple's compiler adds.
  static let compilerKeys: Set = ["coremlc-component-MIL", "coremlc-version"]

  /// Of functions, made anew from the description's ranges.
  static let flexibleShapes = "FlexibleShapeInformation"

  /// Levels of brackets in a type or a value, far more than any program has.
  static let deepest = 64

  static let typesByName = Dictionary(uniqueKeysWithValues: DataType.allCases.map { ($0.description, $0) })
}
