internal import Foundation
internal import Kernels

/// What a program's constants take of the weight files.
package struct WeightAudit: Sendable, Equatable {
  /// Records that the program names.
  package var records = 0
  /// Bytes of their data.
  package var bytes = 0
  /// Records that the files count but the program does not name.
  package var unused = 0
}

extension ModelPackage {
  /// Holds every record that the program names against its declared type and against all others.
  ///
  /// - Throws: when a record is outside its file, of another type or size than declared, or lies in another's bytes, or
  ///   when a file counts fewer records than are used.
  package func auditWeights() throws(MILError) -> WeightAudit {
    var records: [String: [UInt64: WeightRecord]] = [:]
    for name in model.functions.keys.sorted() {
      for operation in model.functions[name]?.block.operations ?? [] {
        let place = Place(
          package: path, operation: operation.type, name: operation.outputs.first?.name ?? "")
        for value in operation.values { try collect(value, place, into: &records) }
      }
    }
    var audit = WeightAudit()
    for (file, used) in records.sorted(by: { $0.key < $1.key }) {
      let sorted = used.values.sorted { $0.offset < $1.offset }
      try Self.checkDisjoint(sorted)
      audit.records += sorted.count
      audit.bytes += sorted.reduce(0) { $0 + $1.range.count }
      let counted = try weightFile(file).recordCount
      guard counted >= sorted.count else {
        throw .weights(
          file: sorted[0].file.path, offset: 0, expected: "a count of at least \(sorted.count) records",
          found: "\(counted)")
      }
      audit.unused += counted - sorted.count
    }
    return audit
  }

  private func collect(
    _ value: Value, _ place: Place, into records: inout [String: [UInt64: WeightRecord]]
  ) throws(MILError) {
    switch value.content {
    case .list(let values), .tuple(let values):
      for value in values { try collect(value, place, into: &records) }
    case .dictionary(let entries):
      for entry in entries {
        try collect(entry.key, place, into: &records)
        try collect(entry.value, place, into: &records)
      }
    case .blob(let file, let offset):
      guard let type = value.type.tensor, let shape = type.shape,
        let count = TensorShape.count(shape)
      else {
        throw .program(place, expected: "a tensor of known shape in a weight file", found: "\(value.type)")
      }
      let record = try weights(file: file, offset: offset)
      try record.check(type.dataType, count: count)
      records[file, default: [:]][offset] = record
    default: break
    }
  }

  /// - Parameter records: of one file, by offset.
  private static func checkDisjoint(_ records: [WeightRecord]) throws(MILError) {
    let spans = records.flatMap { record in
      let start = Int(record.offset)
      return [
        (range: start..<start + WeightFile.recordBytes, record: record),
        (range: record.range, record: record),
      ]
    }.filter { !$0.range.isEmpty }.sorted { $0.range.lowerBound < $1.range.lowerBound }
    for (span, next) in zip(spans, spans.dropFirst())
    where next.range.lowerBound < span.range.upperBound {
      throw .weights(
        file: span.record.file.path, offset: next.record.offset,
        expected: "bytes of its own", found: "those of the record at \(span.record.offset)")
    }
  }
}

extension ProgramOperation {
  /// Constants that are written into the operation.
  var values: [Value] {
    attributes.sorted { $0.key < $1.key }.map(\.value)
      + inputs.sorted { $0.key < $1.key }.flatMap { $0.value }.compactMap {
        if case .value(let value) = $0 { value } else { nil }
      }
  }
}
