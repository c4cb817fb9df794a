internal import Files
internal import Kernels

/// Reads Python's pickles as far as they hold tensors: it knows what torch's functions would make and calls nothing.
///
/// A name of anything else may stand in a pickle; where it would be called, reading stops and names it.
///
/// Its values are good while it lives: it takes the dictionaries apart when it goes, one by one, as a file can put them into
/// each other in a circle, or deeper than the stack is.
final class Unpickler {
  private var cursor: ByteCursor
  private var stack: [PickleValue] = []
  /// Heights of the stack where marks are.
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]
  private var dictionaries: [PickledDictionary] = []
  private var operations = 0
  private let path: String

  private static let deepestTuple = 32
  private static let mostOperations = 20_000_000

  init(_ file: MappedFile, _ range: Range<Int>) {
    path = file.path
    cursor = ByteCursor(file, range, kind: "a pickle")
  }

  deinit {
    for dictionary in dictionaries { dictionary.removeAll() }
  }

  /// The byte behind what was read.
  var offset: Int { cursor.offset }

  private func malformed(_ expected: String, _ found: String) -> FileError {
    .malformed(file: path, expected: expected, found: found)
  }

  private func pop() throws(FileError) -> PickleValue {
    guard stack.count > (marks.last ?? 0), let value = stack.popLast() else {
      throw malformed("a pickle whose operations have operands", "none at byte \(cursor.offset)")
    }
    return value
  }

  private func popMark() throws(FileError) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw malformed("a pickle with a mark", "none at byte \(cursor.offset)") }
    let values = Array(stack[mark...])
    stack.removeLast(values.count)
    return values
  }

  private func top() throws(FileError) -> PickleValue {
    guard stack.count > (marks.last ?? 0), let value = stack.last else {
      throw malformed("a pickle whose operations have operands", "none at byte \(cursor.offset)")
    }
    return value
  }

  /// Reads one pickle, up to its end.
  func value() throws(FileError) -> PickleValue {
    (stack, marks, memo) = ([], [], [:])
    while true {
      let operation = try cursor.number(UInt8.self)
      if operation == UInt8(ascii: ".") { return try pop() }
      operations += 1
      guard operations <= Self.mostOperations else {
        throw malformed("a pickle of at most \(Self.mostOperations) operations", "more")
      }
      try perform(operation)
    }
  }

  private func perform(_ operation: UInt8) throws(FileError) {
    switch operation {
    case 0x80: _ = try cursor.take(1)  // PROTO
    case 0x95: _ = try cursor.take(8)  // FRAME
    case UInt8(ascii: "("): marks.append(stack.count)
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "1"): _ = try popMark()
    case UInt8(ascii: "2"): stack.append(try top())
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.boolean(true))
    case 0x89: stack.append(.boolean(false))
    case UInt8(ascii: "J"): stack.append(.integer(Int(try cursor.number(Int32.self))))
    case UInt8(ascii: "K"): stack.append(.integer(Int(try cursor.number(UInt8.self))))
    case UInt8(ascii: "M"): stack.append(.integer(Int(try cursor.number(UInt16.self))))
    case 0x8A: stack.append(try long(Int(try cursor.number(UInt8.self))))
    case UInt8(ascii: "G"): stack.append(.number(Double(bitPattern: try cursor.number(UInt64.self).byteSwapped)))
    case UInt8(ascii: "X"): stack.append(.text(try cursor.text(cursor.count(UInt32.self))))
    case 0x8C: stack.append(.text(try cursor.text(cursor.count(UInt8.self))))
    case 0x8D: stack.append(.text(try cursor.text(cursor.count(UInt64.self))))
    case UInt8(ascii: "U"), UInt8(ascii: "C"): stack.append(.bytes(try cursor.bytes(cursor.count(UInt8.self))))
    case UInt8(ascii: "T"), UInt8(ascii: "B"): stack.append(.bytes(try cursor.bytes(cursor.count(UInt32.self))))
    case 0x8E: stack.append(.bytes(try cursor.bytes(cursor.count(UInt64.self))))
    default: try performOnContainers(operation)
    }
  }

  private func performOnContainers(_ operation: UInt8) throws(FileError) {
    switch operation {
    case UInt8(ascii: ")"): stack.append(.tuple([], depth: 0))
    case 0x85: try appendTuple([pop()])
    case 0x86, 0x87:
      let last = try pop()
      let middle = try pop()
      try appendTuple(operation == 0x86 ? [middle, last] : [pop(), middle, last])
    case UInt8(ascii: "t"): try appendTuple(popMark())
    case UInt8(ascii: "]"): stack.append(.list(PickledList()))
    case UInt8(ascii: "l"):
      let list = PickledList()
      list.append(try popMark())
      stack.append(.list(list))
    case UInt8(ascii: "}"), 0x8F: appendDictionary()
    case UInt8(ascii: "d"):
      let values = try popMark()
      appendDictionary()
      try setItems(values)
    case UInt8(ascii: "a"):
      let value = try pop()
      try append([value])
    case UInt8(ascii: "e"):
      let values = try popMark()
      try append(values)
    case UInt8(ascii: "s"):
      let value = try pop()
      let key = try pop()
      try setItems([key, value])
    case UInt8(ascii: "u"):
      let values = try popMark()
      try setItems(values)
    case 0x90: _ = try popMark()  // ADDITEMS of a set, which nobody looks into
    case UInt8(ascii: "q"): memo[Int(try cursor.number(UInt8.self))] = try top()
    case UInt8(ascii: "r"): memo[Int(try cursor.number(UInt32.self))] = try top()
    case 0x94: memo[memo.count] = try top()
    case UInt8(ascii: "h"): stack.append(try remembered(Int(try cursor.number(UInt8.self))))
    case UInt8(ascii: "j"): stack.append(try remembered(Int(try cursor.number(UInt32.self))))
    default: try performOnObjects(operation)
    }
  }

  private func performOnObjects(_ operation: UInt8) throws(FileError) {
    switch operation {
    case UInt8(ascii: "c"):
      let module = try cursor.line()
      stack.append(.global(module: module == "__builtin__" ? "builtins" : module, name: try cursor.line()))
    case 0x93:
      guard case .text(let name) = try pop(), case .text(let module) = try pop() else {
        throw malformed("a pickle whose globals have names", "others at byte \(cursor.offset)")
      }
      stack.append(.global(module: module, name: name))
    case UInt8(ascii: "R"), 0x81:
      let arguments = try pop()
      let made = try TorchObjects(path).made(by: pop(), arguments)
      if case .dictionary(let dictionary) = made { dictionaries.append(dictionary) }
      stack.append(made)
    case UInt8(ascii: "Q"): stack.append(try TorchObjects(path).storage(pop()))
    case UInt8(ascii: "b"):
      _ = try pop()
      // A dictionary's attributes, or the state of what is not looked into.
      switch try top() {
      case .dictionary, .opaque, .tensor: break
      default: throw malformed("tensors alone", "a state set on something else at byte \(cursor.offset)")
      }
    default:
      throw malformed(
        "a pickle of torch", "operation 0x\(String(operation, radix: 16)) at byte \(cursor.offset - 1)")
    }
  }

  private func remembered(_ key: Int) throws(FileError) -> PickleValue {
    guard let value = memo[key] else { throw malformed("a pickle whose references lead somewhere", "number \(key)") }
    return value
  }

  private func appendTuple(_ values: [PickleValue]) throws(FileError) {
    let depth = values.reduce(0) { if case .tuple(_, let depth) = $1 { max($0, depth + 1) } else { $0 } }
    guard depth <= Self.deepestTuple else {
      throw malformed("tuples at most \(Self.deepestTuple) deep", "deeper ones at byte \(cursor.offset)")
    }
    stack.append(.tuple(values, depth: depth))
  }

  private func appendDictionary() {
    let dictionary = PickledDictionary()
    dictionaries.append(dictionary)
    stack.append(.dictionary(dictionary))
  }

  private func append(_ values: [PickleValue]) throws(FileError) {
    switch try top() {
    case .list(let list): list.append(values)
    case .opaque: break
    default: throw malformed("a list to append to", "something else at byte \(cursor.offset)")
    }
  }

  private func setItems(_ values: [PickleValue]) throws(FileError) {
    switch try top() {
    case .dictionary(let dictionary) where values.count % 2 == 0:
      for index in stride(from: 0, to: values.count, by: 2) { dictionary.set(values[index], values[index + 1]) }
    case .opaque: break
    default: throw malformed("a dictionary to put items into", "something else at byte \(cursor.offset)")
    }
  }

  /// An integer of so many bytes, little-endian, in two's complement.
  private func long(_ count: Int) throws(FileError) -> PickleValue {
    let bytes = try cursor.bytes(count)
    guard count <= 8 else { return .opaque }
    var value: Int64 = (bytes.last ?? 0) >= 128 ? -1 : 0
    for byte in bytes.reversed() { value = value << 8 | Int64(byte) }
    return .integer(Int(value))
  }
}
