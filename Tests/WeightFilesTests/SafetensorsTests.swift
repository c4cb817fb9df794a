import Foundation
import Kernels
import TestSupport
import Testing
import WeightFiles

@Suite struct SafetensorsTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  @Test(arguments: ["F64", "F32", "F16", "BF16"])
  func floatTypes(name: String) throws {
    let file = try SafetensorsFile(path: fixture("types.safetensors"))
    let expected: [Float] = [-0.75, -0.5, -0.25, 0, 0.25, 0.5]
    #expect(file.elementType(of: name)?.rawValue == name)
    #expect(file.shape(of: name) == [2, 3])
    #expect(try file.floats(name).elements == expected)
    #expect(try file.doubles(name) == expected.map { Double($0) })
    #expect(
      message { _ = try file.integers(name) }
        == "\(file.path): \(name): expected integers, found \(name)")
  }

  @Test func otherTypes() throws {
    let file = try SafetensorsFile(path: fixture("types.safetensors"))
    #expect(
      file.names == [
        "BF16", "BOOL", "F16", "F32", "F64", "I32", "I64", "I8", "U8", "empty", "scalar",
      ])
    #expect(file.metadata == ["format": "pt"])
    #expect(try file.integers("I64") == [-(1 << 62), -1, 0, 1 << 62])
    #expect(try file.integers("I32") == [-(1 << 31), 1 << 31 - 1])
    #expect(try file.integers("U8") == [0, 128, 255])
    #expect(try file.integers("I8") == [-128, 0, 127])
    #expect(try file.integers("BOOL") == [1, 0, 1])
    #expect(try file.doubles("U8") == [0, 128, 255])
    #expect(file.shape(of: "scalar") == [])
    #expect(try file.floats("scalar").elements == [2.5])
    #expect(file.shape(of: "empty") == [0, 4])
    #expect(try file.floats("empty").elements == [])
    #expect(file.shape(of: "absent") == nil)
    #expect(message { _ = try file.floats("absent") } == "\(file.path): no tensor absent")
    #expect(
      message { _ = try file.floats("U8") } == "\(file.path): U8: expected floats, found U8")
  }

  @Test func roundTrip() throws {
    let path = scratch.file("out.safetensors")
    let names = ["b \"quoted\" / ü\n", "a", "c"]
    let tensors: [SafetensorsWriter.Tensor] = [
      (names[0], [2, 2], Buffer([1, -.infinity, 0.1, 70000])), (names[1], [], Buffer([-0.0])),
      (names[2], [0, 7], Buffer([])),
    ]
    try SafetensorsWriter.write(tensors: tensors, metadata: ["key": "välue"], to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.names == names.sorted())
    #expect(file.metadata == ["key": "välue"])
    for tensor in tensors {
      #expect(file.shape(of: tensor.name) == tensor.shape)
      #expect(try file.floats(tensor.name).elements == tensor.values.elements)
    }
    let first = bytes(of: path)
    try SafetensorsWriter.write(
      tensors: tensors.reversed(), metadata: ["key": "välue"], to: path)
    #expect(bytes(of: path) == first)
    #expect(try scratch.contents == ["out.safetensors"])
  }

  @Test func halfPrecision() throws {
    let path = scratch.file("half.safetensors")
    try SafetensorsWriter.write(
      tensors: [("x", [3], Buffer([1.0 / 3, 65504, 1e6]))], precision: .float16, to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.elementType(of: "x") == .float16)
    #expect(try file.floats("x").elements == [0.33325195, 65504, .infinity])
  }

  @Test func failedWriteKeepsTheOldFile() throws {
    let path = scratch.file("out.safetensors")
    try SafetensorsWriter.write(tensors: [("x", [1], Buffer([1]))], to: path)
    let before = bytes(of: path)
    // A folder stands where the temporary file would go.
    try FileManager.default.createDirectory(
      atPath: path + ".partial", withIntermediateDirectories: false)
    #expect(
      message { try SafetensorsWriter.write(tensors: [("x", [1], Buffer([2]))], to: path) }
        == "\(path): cannot be written: Is a directory; the previous file, if any, is untouched")
    #expect(bytes(of: path) == before)
    #expect(
      message { try SafetensorsWriter.write(tensors: [], to: "/nowhere/x") }
        == "/nowhere/x: cannot be written: No such file or directory; "
        + "the previous file, if any, is untouched")
  }
}
