import Foundation
import Kernels
import TestSupport
import Testing
import WeightFiles

/// Files that no sound writer makes: each is refused with one line, none crashes the reader.
@Suite struct HostileSafetensorsTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  /// A file of this header and as many zero bytes of data; the length can be made to lie.
  private func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> Data {
    let length = length ?? UInt64(header.utf8.count)
    var file = Data((0..<8).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) })
    file.append(Data(header.utf8))
    file.append(Data(count: data))
    return file
  }

  private func refusal(_ bytes: Data) -> String? {
    let path = scratch.file("hostile.safetensors")
    return message {
      try scratch.write("hostile.safetensors", bytes)
      _ = try SafetensorsFile(path: path)
    }?.replacingOccurrences(of: path + ": ", with: "")
  }

  private func entry(_ type: String, _ shape: String, _ offsets: String) -> String {
    "{\"x\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
  }

  @Test func lengths() {
    #expect(
      refusal(Data()) == "expected a safetensors file, found an empty file")
    #expect(
      refusal(file("{}", length: 3))
        == "expected a safetensors header of at most 2 bytes, found a length of 3")
    #expect(
      refusal(file("{}", length: .max))
        == "expected a safetensors header of at most 2 bytes, "
        + "found a length of 18446744073709551615")
    let truncated = bytes(of: fixture("types.safetensors")).dropLast()
    #expect(refusal(truncated)?.contains("is the file complete?") == true)
    #expect(refusal(file("{}", data: 1)) == "expected 0 bytes of tensor data, found 1 bytes")
    #expect(refusal(file("{}  ")) == nil)
  }

  @Test(arguments: [
    ("", "a value at byte 8"), ("{", "a key in quotes at byte 9"),
    ("{\"x\":1", "'}' at byte 14"), ("{\"x\":01}", "no leading zero at byte 15"),
    ("{\"x\":1}x", "the end of the text at byte 15"),
    ("{\"x\":1,\"x\":1}", "'x' only once at byte 15"),
    ("{\"x\":\"\\ud800\"}", "a surrogate pair at byte 20"),
    ("{\"x\":1,}", "a key in quotes at byte 15"), ("{\"x\":-}", "a value at byte 14"),
    ("{\"x", "a closing quote at byte 11"),
  ])
  func json(header: String, expected: String) {
    #expect(
      refusal(file(header)) == "expected \(expected), found a safetensors header that is not JSON")
  }

  @Test func deepNesting() {
    let header = String(repeating: "[", count: 1_000_000)
    #expect(refusal(file(header))?.contains("at most 16 levels") == true)
  }

  @Test func entries() {
    let fields =
      "x: expected a dtype, a shape and data_offsets of natural numbers, "
      + "found otherwise"
    #expect(refusal(file("[]")) == "expected a JSON object as safetensors header, found a list")
    #expect(refusal(file("{\"x\":1}")) == "x: expected an object, found an integer")
    #expect(refusal(file(entry("F32", "[-1]", "[0,4]"), data: 4)) == fields)
    #expect(refusal(file(entry("F32", "[1.0]", "[0,4]"), data: 4)) == fields)
    #expect(refusal(file(entry("F32", "[1e99]", "[0,4]"), data: 4)) == fields)
    #expect(refusal(file(entry("F32", "1", "[0,4]"), data: 4)) == fields)
    #expect(
      refusal(file(entry("Q4", "[1]", "[0,4]"), data: 4))
        == "x: expected a dtype of F64 F32 F16 BF16 F8_E4M3 F8_E5M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL, found Q4")
    #expect(
      refusal(file(entry("F32", "[1]", "[4,0]"), data: 4))
        == "x: expected data_offsets of [begin, end], found [4, 0]")
    #expect(
      refusal(file(entry("F32", "[2]", "[0,4]"), data: 4))
        == "x: expected the bytes of F32 [2], found 4 bytes")
    #expect(
      refusal(file(entry("F32", "[4611686018427387904,4]", "[0,0]")))
        == "x: expected the bytes of F32 [4611686018427387904, 4], found 0 bytes")
    #expect(
      refusal(file("{\"__metadata__\":{\"a\":1}}"))
        == "__metadata__.a: expected a string, found an integer")
  }

  @Test func coverage() {
    func two(_ first: String, _ second: String) -> String {
      let entries = [("a", first), ("b", second)].map {
        "\"\($0)\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":\($1)}"
      }
      return "{\(entries.joined(separator: ","))}"
    }
    #expect(refusal(file(two("[0,4]", "[4,8]"), data: 8)) == nil)
    #expect(
      refusal(file(two("[0,4]", "[2,6]"), data: 6))
        == "b: expected data from byte 4 of the data section, "
        + "found data from 2, overlapping another tensor")
    #expect(
      refusal(file(two("[0,4]", "[5,9]"), data: 9))
        == "b: expected data from byte 4 of the data section, "
        + "found data from 5, leaving a gap")
    #expect(
      refusal(file(two("[0,4]", "[4,8]"), data: 6))
        == "b: expected data in the 6 bytes behind the header, "
        + "found bytes 4..<8; is the file complete?")
  }

  /// Whatever a mutation does, the file is refused or all of it can be read.
  @Test func mutations() throws {
    let original = bytes(of: fixture("types.safetensors"))
    var random = SplitMix(seed: 42)
    var refused = 0
    for _ in 0..<2000 {
      var mutant = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<mutant.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: mutant[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: mutant[index] = "{}[]\",:019-e\\".utf8.randomElement(using: &random)!
        case 2: mutant.removeSubrange(index..<min(index + 3, mutant.count))
        default: mutant.insert(UInt8.random(in: 0...255, using: &random), at: index)
        }
      }
      let path = try scratch.write("mutant.safetensors", mutant)
      guard let file = try? SafetensorsFile(path: path) else {
        refused += 1
        continue
      }
      for name in file.names { _ = try file.doubles(name) }
    }
    #expect(refused > 500 && refused < 2000)
  }

  @Test func notAFile() {
    #expect(
      message { _ = try SafetensorsFile(path: "/nowhere") }
        == "/nowhere: cannot be read: No such file or directory")
    #expect(
      message { _ = try SafetensorsFile(path: scratch.path) }
        == "\(scratch.path): cannot be read: not a regular file")
  }
}
