internal import Kernels

/// What a pickle of tensors says; nothing in it is ever called.
indirect enum PickleValue {
  case none
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case bytes([UInt8])
  /// How many tuples are inside of each other is counted, as letting go of them goes as deep.
  case tuple([PickleValue], depth: Int)
  case list(PickledList)
  case dictionary(PickledDictionary)
  /// The name of a Python object, which stays a name.
  case global(module: String, name: String)
  case storage(PickledStorage)
  case tensor(PickledTensor)
  /// Something that is not needed, such as a NumPy scalar among a trainer's notes.
  case opaque
}

/// Texts alone are kept: nothing else of a list is ever looked at.
final class PickledList {
  private(set) var texts: [String] = []

  func append(_ values: [PickleValue]) {
    for case .text(let text) in values { texts.append(text) }
  }
}

/// In the order of insertion; keys that are no text are dropped when names are made.
final class PickledDictionary {
  private(set) var pairs: [(key: PickleValue, value: PickleValue)] = []

  func set(_ key: PickleValue, _ value: PickleValue) { pairs.append((key, value)) }

  func removeAll() { pairs = [] }

  /// The last value of a key that is text.
  subscript(key: String) -> PickleValue? {
    pairs.last { if case .text(key) = $0.key { true } else { false } }?.value
  }
}

/// Numbers in a member of the archive, or behind the pickle.
struct PickledStorage {
  let key: String
  let type: ElementType
  /// Elements.
  let count: Int
}

/// A view of a storage; offset and strides count elements.
struct PickledTensor {
  let storage: PickledStorage
  let offset: Int
  let shape: [Int]
  let strides: [Int]

  var count: Int { shape.reduce(1, *) }

  /// Whether the elements follow each other.
  var isContiguous: Bool {
    if count == 0 { return true }
    var expected = 1
    for (extent, stride) in zip(shape, strides).reversed() where extent != 1 {
      guard stride == expected else { return false }
      expected *= extent
    }
    return true
  }

  /// Elements of the storage up to the last that the view reads; nil if that cannot be counted.
  var end: Int? {
    guard let count = Extents.count(shape) else { return nil }
    guard count > 0 else { return offset }
    var last = offset
    for (extent, stride) in zip(shape, strides) {
      let (distance, isLarge) = (extent - 1).multipliedReportingOverflow(by: stride)
      let (next, isLarger) = last.addingReportingOverflow(distance)
      guard !isLarge, !isLarger else { return nil }
      last = next
    }
    // A view that shows an element many times could ask for any amount of memory.
    return count <= storage.count ? last + 1 : nil
  }
}
