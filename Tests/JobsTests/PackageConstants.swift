import Foundation
import Kernels
import MIL

/// The constants of a package by weight name, decoded by the rules of the format and nothing of the exporter's.
struct PackageConstants {
  private let package: ModelPackage
  private var constants: [String: ProgramOperation] = [:]

  init(_ path: String) throws {
    package = try ModelPackage(path)
    for operation in package.model.functions["main"]?.block.operations ?? [] {
      for output in operation.outputs { constants[output.name] = operation }
    }
  }

  /// The elements of a weight, or nil if the package has none of that name.
  func decoded(_ weight: String) throws -> [Float]? {
    let name = String(weight.map { $0.isLetter || $0.isNumber ? $0 : "_" }) + "_to_fp16"
    return try elements(name + "_palettized") ?? elements(name)
  }

  private func elements(_ name: String) throws -> [Float]? {
    guard let operation = constants[name], let shape = operation.outputs.first?.type.tensor?.shape else {
      return nil
    }
    switch operation.type {
    case "const": return try operation.attributes["val"].map { try numbers($0) }
    case "constexpr_lut_to_dense": return try lookUp(operation, shape)
    case "constexpr_blockwise_shift_scale":
      guard let data = try argument("data", operation), let scale = try argument("scale", operation) else {
        return nil
      }
      return Self.places(shape).enumerated().map { index, place in
        HalfPrecision.round(data.numbers[index] * scale.numbers[Self.block(place, shape, scale.shape)])
      }
    default: return nil
    }
  }

  /// iOS 16: attributes and one table. iOS 18: inputs, and a table for each block of the indices.
  private func lookUp(_ operation: ProgramOperation, _ shape: [Int]) throws -> [Float]? {
    if let indices = operation.attributes["indices"], let lut = operation.attributes["lut"] {
      let table = try numbers(lut)
      let bits = table.count.trailingZeroBitCount
      let stream = try bytes(indices)
      return (0..<shape.reduce(1, *)).map { table[Self.element($0, bits, stream)] }
    }
    guard let indices = try argument("indices", operation), let lut = try argument("lut", operation) else {
      return nil
    }
    let axis = try argument("vector_axis", operation).map { Int($0.numbers[0]) }
    let (groups, entries, vector) = (Array(lut.shape.dropLast(2)), lut.shape[shape.count], lut.shape[shape.count + 1])
    return Self.places(shape).map { place in
      var index = place
      if let axis { index[axis] /= vector }
      let row = zip(index, indices.shape).reduce(0) { $0 * $1.1 + $1.0 }
      let block = Self.block(index, indices.shape, groups)
      let component = axis.map { place[$0] % vector } ?? 0
      return lut.numbers[(block * entries + Int(indices.numbers[row])) * vector + component]
    }
  }

  private func argument(
    _ name: String, _ operation: ProgramOperation
  ) throws -> (shape: [Int], numbers: [Float])? {
    switch operation.inputs[name]?.first {
    case .value(let value): return (value.type.tensor?.shape ?? [], try numbers(value))
    case .name(let name):
      guard let shape = constants[name]?.outputs.first?.type.tensor?.shape, let numbers = try elements(name) else {
        return nil
      }
      return (shape, numbers)
    case nil: return nil
    }
  }

  private static func places(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { places, extent in places.flatMap { place in (0..<extent).map { place + [$0] } } }
  }

  /// The number of the block that a place lies in.
  private static func block(_ place: [Int], _ shape: [Int], _ blocks: [Int]) -> Int {
    shape.indices.reduce(0) { $0 * blocks[$1] + place[$1] * blocks[$1] / shape[$1] }
  }

  /// Element `i` occupies bits `i · bits …` of a stream whose bytes count from their least significant bit.
  private static func element(_ i: Int, _ bits: Int, _ stream: [UInt8]) -> Int {
    (0..<bits).reduce(0) { value, bit in
      let at = i * bits + bit
      return value | Int(stream[at / 8] >> UInt8(at % 8) & 1) << bit
    }
  }

  private func numbers(_ value: Value) throws -> [Float] {
    if case .ints(let numbers) = value.content { return numbers.map(Float.init) }
    guard let type = value.type.tensor, let shape = type.shape else { return [] }
    let stream = try bytes(value)
    switch type.dataType {
    case .float16:
      return (0..<stream.count / 2).map {
        HalfPrecision.decode(UInt16(stream[2 * $0]) | UInt16(stream[2 * $0 + 1]) << 8)
      }
    case .int8: return stream.map { Float(Int8(bitPattern: $0)) }
    default: return (0..<shape.reduce(1, *)).map { Float(Self.element($0, type.dataType.bits, stream)) }
    }
  }

  private func bytes(_ value: Value) throws -> [UInt8] {
    switch value.content {
    case .bytes(let data): return [UInt8](data)
    case .blob(let file, let offset):
      let record = try package.weights(file: file, offset: offset)
      return [UInt8](record.file.data(record.range))
    default: return []
    }
  }
}
