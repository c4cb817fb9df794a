internal import Foundation
internal import Kernels
internal import MIL

/// A program's operations in their order, a line each: the type and the arguments that are written in the program.
///
/// Weights, and which values an operation reads, are not in it.
struct ProgramOutline {
  let lines: [String]

  init(_ package: ModelPackage) {
    let operations = package.model.functions[package.model.defaultFunction]?.block.operations ?? []
    var constants: [String: String] = [:]
    for operation in operations where operation.type == "const" {
      guard let name = operation.outputs.first?.name, let value = operation.attributes["val"] else { continue }
      constants[name] = Self.text(value)
    }
    lines = operations.filter { !$0.isConstant }.map { operation in
      let arguments = operation.inputs.sorted { $0.key < $1.key }.flatMap { name, bindings in
        bindings.compactMap { binding in
          switch binding {
          case .name(let source): constants[source].map { "\(name)=\($0)" }
          case .value(let value): Self.text(value).map { "\(name)=\($0)" }
          }
        }
      }
      return ([operation.type] + arguments).joined(separator: " ")
    }
  }

  /// Differences to another program of as many operations, the first ones in words.
  func differences(to other: ProgramOutline) -> [String] {
    guard lines.count == other.lines.count else { return [] }
    let different = zip(lines, other.lines).enumerated().filter { $1.0 != $1.1 }
    let shown = different.prefix(Self.mostShown).map { "operation \($0 + 1): \($1.0) → \($1.1)" }
    let rest = different.count - shown.count
    return rest > 0 ? shown + ["and \(rest) other operations"] : shown
  }

  private static let mostShown = 20
  /// Elements up to which a list of whole numbers is an argument.
  private static let mostElements = 64

  /// Nil for weights, which are compared as such: floats of more than one element.
  private static func text(_ value: Value) -> String? {
    func list<Element>(_ elements: [Element], most: Int = mostElements) -> String? {
      elements.count <= most ? "\(elements)" : nil
    }
    return switch value.content {
    case .floats(let elements): list(elements, most: 1)
    case .doubles(let elements): list(elements, most: 1)
    case .ints(let elements): list(elements)
    case .longInts(let elements): list(elements)
    case .bools(let elements): list(elements)
    case .strings(let elements): list(elements)
    case .bytes(let data):
      switch value.type.tensor?.dataType {
      case .float16:
        data.count == 2 ? "[\(HalfPrecision.decode(data.reversed().reduce(0) { $0 << 8 | UInt16($1) }))]" : nil
      case .float32, .float64: data.count <= 8 ? "\(Array(data))" : nil
      default: list(Array(data))
      }
    case .list, .tuple, .dictionary, .blob: nil
    }
  }
}
