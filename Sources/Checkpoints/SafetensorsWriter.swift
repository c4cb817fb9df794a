internal import Foundation
package import Kernels

/// Writes `.safetensors` files that any reader of the format takes.
package enum SafetensorsWriter {
  /// How the 32-bit floats are stored.
  package enum Precision: Sendable {
    case float32
    /// Rounded to nearest even.
    case float16

    var elementType: ElementType {
      switch self {
      case .float32: .float32
      case .float16: .float16
      }
    }
  }

  package typealias Tensor = (name: String, shape: [Int], values: Buffer)

  /// Writes all tensors, sorted by name; equal contents give equal bytes.
  ///
  /// - Precondition: names differ, and every shape has as many elements as its buffer.
  package static func write(
    tensors: [Tensor], metadata: [String: String] = [:], precision: Precision = .float32,
    to path: String
  ) throws(CheckpointError) {
    let sorted = tensors.sorted { $0.name < $1.name }
    for (tensor, next) in zip(sorted, sorted.dropFirst()) {
      precondition(tensor.name != next.name, "safetensors: two tensors named \(tensor.name)")
    }
    let header = header(of: sorted, metadata, precision.elementType)
    try AtomicFile(path: path).writeBytes { (sink) throws(CheckpointError) in
      try sink.append(littleEndian([UInt64(header.count)]))
      try sink.append(header)
      for tensor in sorted {
        switch precision {
        case .float32: try sink.append(tensor.values.bytes)
        case .float16: try sink.append(littleEndian(HalfPrecision.encode(tensor.values)))
        }
      }
    }
  }

  private struct Entry: Encodable {
    let dtype: String
    let shape: [Int]
    let data_offsets: [Int]
  }

  /// The JSON header, padded with spaces so that the data behind it are aligned to 8 bytes.
  private static func header(
    of tensors: [Tensor], _ metadata: [String: String], _ elementType: ElementType
  ) -> Data {
    var end = 0
    var fields: [String] = metadata.isEmpty ? [] : ["\"__metadata__\":" + json(metadata)]
    for tensor in tensors {
      let count = tensor.shape.reduce(1, *)
      precondition(
        count == tensor.values.count,
        "safetensors: \(tensor.name) \(tensor.shape) has \(tensor.values.count) elements")
      let start = end
      end += count * elementType.byteCount
      let entry = Entry(
        dtype: elementType.rawValue, shape: tensor.shape, data_offsets: [start, end])
      fields.append(json(tensor.name) + ":" + json(entry))
    }
    var header = Data("{\(fields.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(0x20, count: -header.count & 7))
    return header
  }

  private static func json(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings and integers always encode.
    guard let data = try? encoder.encode(value) else { preconditionFailure("\(value)") }
    return String(decoding: data, as: UTF8.self)
  }

  private static func littleEndian<Element: FixedWidthInteger>(_ elements: [Element]) -> Data {
    elements.map(\.littleEndian).withUnsafeBytes { Data($0) }
  }
}
