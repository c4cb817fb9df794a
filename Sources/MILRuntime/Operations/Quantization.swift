internal import Kernels
internal import MIL

/// `quantize` and `dequantize`: numbers of eight bits for activations, as Apple's `activation_quantization.py` puts them into
/// UNets (W8A8).
///
/// q = clip(round(x / scale) + zero point) and x = (q − zero point) · scale, with one scale for all or one for each place
/// along an axis.
struct Quantization: MILOperation {
  static let kinds = [
    OperationKind(
      "quantize",
      [
        .required("input", .floats), .required("scale", .floats), .optional("zero_point", .integerTensor),
        .required("output_dtype", .text), .optional("axis", .integers),
      ], Quantization.self),
    OperationKind(
      "dequantize",
      [
        .required("input", .integerTensor), .required("scale", .floats), .optional("zero_point", .integerTensor),
        .optional("axis", .integers),
      ], Quantization.self),
  ]

  let results: [TensorType]
  private let shape: [Int]
  /// Elements behind each place of the axis, and places; one place if one scale is for all.
  private let behind, places: Int

  init(_ call: Call) throws(MILError) {
    shape = try call.shape("input")
    let scales = try call.shape("scale")
    if scales.reduce(1, *) == 1, !call.has("axis") || scales.isEmpty {
      (behind, places) = (max(1, shape.reduce(1, *)), 1)
    } else {
      let axis = try call.axis("axis", rank: shape.count)
      guard scales == [shape[axis]] else {
        throw call.refuse("scale", "one number, or \(shape[axis]) for axis \(axis)", "\(scales)")
      }
      (behind, places) = (max(1, shape[(axis + 1)...].reduce(1, *)), shape[axis])
    }
    if call.has("zero_point") {
      let zeros = try call.shape("zero_point")
      guard zeros.reduce(1, *) == 1 || zeros == [places] else {
        throw call.refuse("zero_point", "as many as scales, \(places)", "\(zeros)")
      }
    }
    guard call.operation == "quantize" else {
      results = [TensorType(try call.type("scale"), shape)]
      return
    }
    switch try call.text("output_dtype") {
    case "int8": results = [TensorType(.int8, shape)]
    case "uint8": results = [TensorType(.uint8, shape)]
    case let type: throw call.refuse("output_dtype", "int8 or uint8", "'\(type)'")
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let input = try call.value("input")
    guard let scales = try call.value("scale").floats?.elements else {
      throw call.refuse("scale", "floats", "another type")
    }
    let zeros = call.has("zero_point") ? try call.value("zero_point").wholeNumbers ?? [] : [0]
    func zero(_ place: Int) -> Int32 { zeros.count > 1 ? zeros[place] : zeros.first ?? 0 }
    func scale(_ place: Int) -> Float { scales.count > 1 ? scales[place] : scales[0] }
    if call.operation == "dequantize" {
      guard let numbers = input.wholeNumbers else { throw call.refuse("input", "whole numbers", "\(input.type)") }
      let y = Buffer(count: numbers.count) { y in
        for index in numbers.indices {
          let place = index / behind % places
          y[index] = (Float(numbers[index]) - Float(zero(place))) * scale(place)
        }
      }
      return [RuntimeValue(results[0].dataType, shape, y)]
    }
    guard let floats = input.floats else { throw call.refuse("input", "floats", "\(input.type)") }
    let range: ClosedRange<Float> = results[0].dataType == .int8 ? -128...127 : 0...255
    let numbers = floats.withSpan { x in
      (0..<x.count).map { index -> Int32 in
        let place = index / behind % places
        let rounded = (x[index] / scale(place)).rounded(.toNearestOrEven) + Float(zero(place))
        return rounded.isNaN ? 0 : Int32(min(max(rounded, range.lowerBound), range.upperBound))
      }
    }
    return [RuntimeValue(results[0].dataType, shape, .integers(numbers))]
  }
}
