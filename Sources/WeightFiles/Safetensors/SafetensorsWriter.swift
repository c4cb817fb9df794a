package import Files
package import Foundation
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

  /// A tensor whose bytes are made when they are written.
  package struct Item {
    let name: String
    let type: ElementType
    let shape: [Int]
    let bytes: () throws(FileError) -> Data

    /// - Parameter bytes: as many as type and shape say, little-endian.
    package init(_ name: String, _ type: ElementType, _ shape: [Int], bytes: @escaping () throws(FileError) -> Data) {
      (self.name, self.type, self.shape, self.bytes) = (name, type, shape, bytes)
    }

    /// Floats, rounded to nearest even where the type is narrower.
    package init(
      _ name: String, _ shape: [Int], _ precision: Precision, values: @escaping () throws(FileError) -> Buffer
    ) {
      self.init(name, precision.elementType, shape) { () throws(FileError) in
        let values = try values()
        switch precision {
        case .float32: return values.bytes
        case .float16: return littleEndian(HalfPrecision.encode(values))
        }
      }
    }
  }

  /// Writes all tensors, sorted by name; equal contents give equal bytes.
  ///
  /// - Precondition: names differ, and every shape has as many elements as its buffer.
  package static func write(
    tensors: [Tensor], metadata: [String: String] = [:], precision: Precision = .float32,
    to path: String
  ) throws(FileError) {
    try write(
      items: tensors.map { tensor in Item(tensor.name, tensor.shape, precision) { tensor.values } }, metadata: metadata,
      to: path)
  }

  /// The same, one tensor in memory at a time.
  package static func write(items: [Item], metadata: [String: String] = [:], to path: String) throws(FileError) {
    let sorted = items.sorted { $0.name < $1.name }
    for (item, next) in zip(sorted, sorted.dropFirst()) {
      precondition(item.name != next.name, "safetensors: two tensors named \(item.name)")
    }
    let header = header(of: sorted, metadata)
    try AtomicFile(path: path).writeBytes { (sink) throws(FileError) in
      try sink.append(littleEndian([UInt64(header.count)]))
      try sink.append(header)
      for item in sorted {
        let bytes = try item.bytes()
        precondition(
          bytes.count == item.shape.reduce(item.type.byteCount, *),
          "safetensors: \(item.name) \(item.shape) has \(bytes.count) bytes")
        try sink.append(bytes)
      }
    }
  }

  private struct Entry: Encodable {
    let dtype: String
    let shape: [Int]
    let data_offsets: [Int]
  }

  /// The JSON header, padded with spaces so that the data behind it are aligned to 8 bytes.
  private static func header(of items: [Item], _ metadata: [String: String]) -> Data {
    var end = 0
    var fields: [String] = metadata.isEmpty ? [] : ["\"__metadata__\":" + json(metadata)]
    for item in items {
      let start = end
      end += item.shape.reduce(item.type.byteCount, *)
      let entry = Entry(dtype: item.type.rawValue, shape: item.shape, data_offsets: [start, end])
      fields.append(json(item.name) + ":" + json(entry))
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
