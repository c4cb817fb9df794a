import Foundation
import Kernels
import MILRuntime

/// The float tensors of a safetensors file: 8 bytes of header length, a JSON header, then the data.
struct TensorFile {
  private struct Entry: Decodable {
    let dtype: String
    let shape: [Int]
    let data_offsets: [Int]
  }

  struct Damaged: Error {}

  private(set) var tensors: [String: NamedTensor] = [:]

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(filePath: path))
    let length = data.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << ($1.offset * 8) }
    guard data.count >= 8 + length else { throw Damaged() }
    let header = data.subdata(in: 8..<8 + length)
    for (name, entry) in try JSONDecoder().decode([String: Entry].self, from: header) {
      let bytes = data.dropFirst(8 + length + entry.data_offsets[0])
        .prefix(entry.data_offsets[1] - entry.data_offsets[0])
      guard entry.dtype == "F32", bytes.count == entry.shape.reduce(4, *) else { throw Damaged() }
      let floats = Buffer(uninitialized: bytes.count / 4)
      RawElements.decode(
        Array(bytes).span.bytes, .single, 0..<floats.count, into: floats, at: 0)
      tensors[name] = NamedTensor(shape: entry.shape, elements: floats)
    }
  }

  /// The tensors whose names begin with `prefix`, without it.
  func group(_ prefix: String) -> [String: NamedTensor] {
    Dictionary(
      uniqueKeysWithValues: tensors.filter { $0.key.hasPrefix(prefix) }
        .map { (String($0.key.dropFirst(prefix.count)), $0.value) })
  }
}
