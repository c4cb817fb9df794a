import Foundation
import Kernels
import MIL

/// The constants of an iOS 16 package by weight name, decoded by the rules of the format and nothing of the exporter's.
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
    if let palette = constants[name + "_palettized"] {
      guard palette.type == "constexpr_lut_to_dense", let indices = palette.attributes["indices"],
        let lut = palette.attributes["lut"],
        let shape = palette.outputs.first?.type.tensor?.shape
      else { return nil }
      let table = Self.halves(try bytes(lut))
      let bits = table.count.trailingZeroBitCount
      let stream = try bytes(indices)
      return (0..<shape.reduce(1, *)).map { table[Self.element($0, bits, stream)] }
    }
    guard let value = constants[name]?.attributes["val"] else { return nil }
    return Self.halves(try bytes(value))
  }

  /// Element `i` occupies bits `i · bits …` of a stream whose bytes count from their least significant bit.
  private static func element(_ i: Int, _ bits: Int, _ stream: [UInt8]) -> Int {
    (0..<bits).reduce(0) { value, bit in
      let at = i * bits + bit
      return value | Int(stream[at / 8] >> UInt8(at % 8) & 1) << bit
    }
  }

  private static func halves(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 2).map {
      HalfPrecision.decode(UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
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
