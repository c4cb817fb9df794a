import Foundation
import ReaderFuzzing
import TestSupport
import Testing

/// What `make fuzz` starts from and what it found, and chance changes of it: every reader takes it, or refuses it in a line.
@Suite struct ReaderFuzzTests {
  private static let found = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "FuzzCorpus").path

  /// Larger inputs are not fuzzed.
  private static let mostBytes = 1 << 16

  private static func inputs(_ reader: FuzzedReader) -> [String] {
    (reader.seeds.map { Program.repository.appending(path: $0).path } + ["\(found)/\(reader.rawValue)"]).flatMap {
      folder in
      (FileManager.default.subpaths(atPath: folder) ?? []).sorted().map { "\(folder)/\($0)" }
    }.filter { path in
      let facts = try? FileManager.default.attributesOfItem(atPath: path)
      return facts?[.type] as? FileAttributeType == .typeRegular && facts?[.size] as? Int ?? .max <= mostBytes
    }
  }

  @Test(arguments: FuzzedReader.allCases) func everyInputIsTakenOrRefused(reader: FuzzedReader) throws {
    let scratch = try ScratchFolder()
    let inputs = Self.inputs(reader)
    #expect(!inputs.isEmpty)
    for path in inputs.shuffled().prefix(60) {
      let bytes = try Data(contentsOf: URL(filePath: path))
      reader.read(bytes, in: scratch.path)
      for _ in 0..<2 { reader.read(Self.changed(bytes), in: scratch.path) }
    }
  }

  private static func changed(_ bytes: Data) -> Data {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4) where !bytes.isEmpty {
      let place = Int.random(in: 0..<bytes.count)
      switch Int.random(in: 0..<4) {
      case 0: bytes[place] = .random(in: .min ... .max)
      case 1: bytes[place] ^= UInt8(1) << Int.random(in: 0..<8)
      case 2: bytes = Data(bytes.prefix(place))
      default: bytes.insert(.random(in: .min ... .max), at: place)
      }
    }
    return bytes
  }
}
