internal import Kernels
internal import MIL

/// A number at the place that each index names, another one everywhere else on a new axis.
struct OneHot: MILOperation {
  static let kinds = [
    OperationKind(
      "one_hot",
      [
        .required("indices", .integerTensor), .required("one_hot_vector_size", .integers), .optional("axis", .integers),
        .optional("on_value", .number), .optional("off_value", .number),
      ], OneHot.self)
  ]

  let results: [TensorType]
  private let size, inner: Int

  init(_ call: Call) throws(MILError) {
    let indices = try call.shape("indices")
    size = try call.integer("one_hot_vector_size")
    let axis = try call.axis("axis", rank: indices.count + 1, or: -1)
    let shape = indices[..<axis] + [size] + indices[axis...]
    guard size >= 0, TensorShape.count(Array(shape)) != nil else {
      throw call.refuse("one_hot_vector_size", "0 or more, and at most \(TensorShape.limit) elements", "\(size)")
    }
    inner = indices[axis...].reduce(1, *)
    let type = call.has("on_value") ? try call.type("on_value") : .int32
    if call.has("off_value"), try call.type("off_value") != type {
      throw call.refuse("off_value", "\(type), as on_value", "\(try call.type("off_value"))")
    }
    results = [TensorType(type, Array(shape))]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    guard case .integers(let indices) = try call.value("indices").storage else {
      throw call.refuse("indices", "whole numbers", "\(try call.type("indices"))")
    }
    let (type, shape) = (results[0].dataType, results[0].shape ?? [])
    guard type.isFloat else {
      let (on, off) = (try call.integer("on_value", or: 1), try call.integer("off_value", or: 0))
      return [RuntimeValue(type, shape, .integers(marked(indices, on: Int32(clamping: on), off: Int32(clamping: off))))]
    }
    let (on, off) = (try call.number("on_value", or: 1), try call.number("off_value", or: 0))
    return [RuntimeValue(type, shape, Buffer(marked(indices, on: on, off: off)))]
  }

  private func marked<Number>(_ indices: [Int32], on: Number, off: Number) -> [Number] {
    var values = [Number](repeating: off, count: indices.count * size)
    for (at, index) in indices.enumerated() where 0..<size ~= Int(index) {
      let (row, column) = at.quotientAndRemainder(dividingBy: inner)
      values[(row * size + Int(index)) * inner + column] = on
    }
    return values
  }
}

/// Of matrices the diagonals from `lower` below to `upper` above the main one; −1 is all of them. Zero elsewhere.
struct BandPart: MILOperation {
  static let kinds = [
    OperationKind(
      "band_part", [.required("x", .any), .optional("lower", .integers), .optional("upper", .integers)],
      BandPart.self)
  ]

  let results: [TensorType]
  private let lower, upper: Int

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard x.count >= 2 else { throw call.refuse("x", "at least two axes", "\(x)") }
    (lower, upper) = (try call.integer("lower", or: -1), try call.integer("upper", or: -1))
    results = [TensorType(try call.type("x"), x)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    if case .integers(let numbers) = x.storage {
      return [RuntimeValue(x.type, x.shape, .integers(banded(numbers, x.shape, zero: 0)))]
    }
    if case .booleans(let values) = x.storage {
      return [RuntimeValue(x.type, x.shape, .booleans(banded(values, x.shape, zero: false)))]
    }
    guard let floats = x.floats else { throw call.refuse("x", "numbers or truth values", "\(x.type)") }
    return [RuntimeValue(x.type, x.shape, Buffer(banded(floats.elements, x.shape, zero: 0)))]
  }

  private func banded<Element>(_ x: [Element], _ shape: [Int], zero: Element) -> [Element] {
    let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
    return x.indices.map { at in
      let (row, column) = (at / columns % rows, at % columns)
      let isInside = (lower < 0 || row - column <= lower) && (upper < 0 || column - row <= upper)
      return isInside ? x[at] : zero
    }
  }
}
