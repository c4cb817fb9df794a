internal import Kernels
internal import MIL

/// What a name in a program stands for while it runs.
///
/// Floats of any declared width are computed with as 32-bit floats, integers of any width as
/// `Int32`.
struct RuntimeValue: Sendable {
  enum Storage: Sendable {
    case floats(Buffer)
    case integers([Int32])
    case booleans([Bool])
    case strings([String])
    /// A large constant, which stays as it is stored until somebody needs a part of it.
    case packed(any PackedConstant)
  }

  let type: DataType
  let shape: [Int]
  let storage: Storage

  init(_ type: DataType, _ shape: [Int], _ storage: Storage) {
    self.type = type
    self.shape = shape
    self.storage = storage
  }

  init(_ type: DataType, _ shape: [Int], _ floats: Buffer) {
    precondition(floats.count == shape.reduce(1, *), "\(floats.count) floats of shape \(shape)")
    self.init(type, shape, .floats(floats))
  }

  var count: Int { shape.reduce(1, *) }
  var tensorType: TensorType { TensorType(type, shape) }

  /// The elements as floats; a packed constant is decoded whole.
  var floats: Buffer? {
    switch storage {
    case .floats(let buffer): buffer
    case .packed(let constant): constant.decoded()
    default: nil
    }
  }

  /// A way to read parts of a float tensor, packed or not.
  var constant: (any PackedConstant)? {
    switch storage {
    case .floats(let buffer): DenseConstant(buffer: buffer)
    case .packed(let constant): constant
    default: nil
    }
  }

  /// The same elements in the same order under another shape.
  func reshaped(_ shape: [Int]) -> RuntimeValue {
    precondition(shape.reduce(1, *) == count, "\(self.shape) as \(shape)")
    return RuntimeValue(type, shape, storage)
  }

  /// The elements that a view of these picks, row-major.
  func picked(_ view: StridedView) -> RuntimeValue {
    switch storage {
    case .floats, .packed:
      guard let x = floats else { preconditionFailure("floats are always there") }
      let y = Buffer(uninitialized: view.count)
      StridedCopy.copy(x, view, into: y, StridedView(shape: view.shape))
      return RuntimeValue(type, view.shape, .floats(y))
    case .integers(let values):
      return RuntimeValue(type, view.shape, .integers(view.positions().map { values[$0] }))
    case .booleans(let values):
      return RuntimeValue(type, view.shape, .booleans(view.positions().map { values[$0] }))
    case .strings(let values):
      return RuntimeValue(type, view.shape, .strings(view.positions().map { values[$0] }))
    }
  }

  /// The elements at these positions of the flat tensor, in their order.
  func picked(_ positions: [Int], shape: [Int]) -> RuntimeValue {
    switch storage {
    case .floats, .packed:
      guard let x = floats else { preconditionFailure("floats are always there") }
      let y = x.withSpan { x in Buffer(positions.map { x[$0] }) }
      return RuntimeValue(type, shape, .floats(y))
    case .integers(let values):
      return RuntimeValue(type, shape, .integers(positions.map { values[$0] }))
    case .booleans(let values):
      return RuntimeValue(type, shape, .booleans(positions.map { values[$0] }))
    case .strings(let values):
      return RuntimeValue(type, shape, .strings(positions.map { values[$0] }))
    }
  }
}

/// A constant that is decoded part by part, where it is needed.
protocol PackedConstant: Sendable {
  /// Number of elements.
  var count: Int { get }
  /// Writes elements `range`, row-major, into `y` from `offset` on.
  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int)
  /// For products.
  var elements: WeightElements { get }
  /// Lets go of the memory that the stored bytes take; decoding reads them from their file again.
  func letGo()
  /// Rows and columns whose places are listed.
  var listedPlaces: Int { get }
}

extension PackedConstant {
  func letGo() {}
  var listedPlaces: Int { 0 }

  var elements: WeightElements {
    WeightElements(count: count) { part, y, offset in
      part.forEachRow { range, row in decode(range, into: y, at: offset + row) }
    }
  }

  func decoded() -> Buffer {
    let y = Buffer(uninitialized: count)
    decode(0..<count, into: y, at: 0)
    return y
  }
}

/// Elements that are floats already.
struct DenseConstant: PackedConstant {
  let buffer: Buffer

  var count: Int { buffer.count }
  var elements: WeightElements { WeightElements(buffer) }
  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int) {
    y.copy(from: buffer, range, at: offset)
  }
  func decoded() -> Buffer { buffer }
}
