import Foundation
import Kernels
import MIL
import PackageFuzzing
import TestSupport
import Testing

/// Packages made to harm: each is refused with one line, at once and without taking memory.
@Suite struct HostilePackageTests {
  /// A package that is gone when the test is.
  private struct Folder {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    var path: String { scratch.path }
    var package: String { scratch.file("a.mlpackage") }
    var weights: String { package + "/Data/com.apple.CoreML/weights/weight.bin" }
    var model: String { package + "/Data/com.apple.CoreML/model.mlmodel" }
  }

  /// A sound package with two records in its weight file, at 64 and 192.
  private func sound() throws -> Folder {
    let folder = try Folder()
    let writer = try ModelPackageWriter(folder.package)
    let program = ProgramBuilder(target: .iOS16, weights: writer.weights)
    let x = program.input("x", .float16, [4, 4])
    var y = x
    for name in ["a", "b"] {
      let values = Buffer((0..<16).map { Float($0) + (name == "a" ? 0 : 1) })
      let weight = try program.constant(name, [4, 4], half: HalfPrecision.encode(values))
      y = try program.operation(
        "matmul", name: "y_\(name)",
        [
          "x": .value(y), "y": .value(weight), "transpose_x": .bool(false),
          "transpose_y": .bool(false),
        ], .float16, [4, 4])
    }
    program.output(y)
    try writer.finish(program.model())
    return folder
  }

  private func expectRefusal(_ folder: Folder, _ words: String) {
    let start = Date()
    guard case .refused(let line) = tryPackage(folder.package) else {
      Issue.record("accepted, but should say '\(words)'")
      return
    }
    #expect(line.contains(words), "\(line)")
    #expect(line.count < 1200)
    #expect(Date().timeIntervalSince(start) < 5)
  }

  private func change(_ file: String, _ body: (inout Data) -> Void) throws {
    var data = try Data(contentsOf: URL(filePath: file))
    body(&data)
    try data.write(to: URL(filePath: file))
  }

  private func set(_ data: inout Data, _ number: UInt64, at offset: Int) {
    withUnsafeBytes(of: number.littleEndian) { data.replaceSubrange(offset..<offset + 8, with: $0) }
  }

  @Test func soundPackageRuns() throws {
    let folder = try sound()
    // The folder is gone with its last use, which reading its path would be.
    withExtendedLifetime(folder) { #expect(tryPackage(folder.package) == .ran) }
  }

  @Test func truncatedModel() throws {
    let folder = try sound()
    try change(folder.model) { $0 = $0.prefix($0.count / 2) }
    expectRefusal(folder, "that do not decode")
  }

  @Test func truncatedWeights() throws {
    let folder = try sound()
    try change(folder.weights) { $0 = $0.dropLast(8) }
    expectRefusal(folder, "expected data inside")
  }

  @Test func overlappingRecords() throws {
    let folder = try sound()
    // The second record's data are those of the first.
    try change(folder.weights) { set(&$0, 128, at: 192 + 16) }
    expectRefusal(folder, "expected bytes of its own, found those of the record at 64")
  }

  @Test(arguments: [UInt64.max, 1 << 63, 1 << 40]) func offsetsOutside(_ number: UInt64) throws {
    for field in [8, 16] {
      let folder = try sound()
      try change(folder.weights) { set(&$0, number & ~63, at: 64 + field) }
      expectRefusal(folder, "record at 64: expected")
    }
  }

  @Test func recordCountTooSmall() throws {
    let folder = try sound()
    try change(folder.weights) { $0[0] = 1 }
    expectRefusal(folder, "expected a count of at least 2 records, found 1")
  }

  /// A program that is put together by hand.
  private func package(
    _ operations: [ProgramOperation], inputs: [Feature] = [Feature("x", TensorType(.float32, [2, 3]))],
    output: TensorType = TensorType(.float32, [2, 3])
  ) throws -> Folder {
    let folder = try Folder()
    let function = Function(
      inputs: inputs.map { NamedType($0.name, .tensor($0.type ?? output)) }, opset: "CoreML6",
      block: Block(operations: operations, outputs: ["y"]))
    try ModelPackageWriter(folder.package).finish(
      Model(
        specificationVersion: 7, inputs: inputs, outputs: [Feature("y", output)],
        metadata: Metadata(), functions: ["main": function]))
    return folder
  }

  private func relu(_ x: String, _ y: String, _ shape: [Int] = [2, 3]) -> ProgramOperation {
    ProgramOperation(
      "relu", inputs: ["x": [.name(x)]], outputs: [NamedType(y, .tensor(TensorType(.float32, shape)))],
      attributes: ["name": Value(y)])
  }

  @Test func cyclicGraphs() throws {
    expectRefusal(try package([relu("y", "y")]), "expected a value defined earlier, found 'y'")
    expectRefusal(
      try package([relu("y", "z"), relu("z", "y")]), "expected a value defined earlier, found 'y'")
  }

  @Test func namesDefinedTwice() throws {
    expectRefusal(try package([relu("x", "y"), relu("x", "y")]), "a new name for each value")
  }

  @Test func hugeShapes() throws {
    for shape in [[1 << 40], [1 << 20, 1 << 20], [1 << 30, 1 << 30, 1 << 30, 0]] {
      let type = TensorType(.float32, shape)
      expectRefusal(
        try package([relu("x", "y", shape)], inputs: [Feature("x", type)], output: type), "is more than")
    }
  }

  @Test func declaredShapeIsNotTheOperations() throws {
    expectRefusal(
      try package([relu("x", "y", [3, 2])], output: TensorType(.float32, [3, 2])),
      "declared fp32[3, 2], but the operation gives fp32[2, 3]")
  }

  @Test(
    arguments: [
      "../../../../etc/passwd", "/etc/passwd", "com.apple.CoreML/../../Manifest.json", "", "a//b",
    ]) func manifestLeadsOutside(_ path: String) throws
  {
    let folder = try sound()
    try change(folder.package + "/Manifest.json") { data in
      data = Data(
        String(decoding: data, as: UTF8.self)
          .replacingOccurrences(of: "com.apple.CoreML/model.mlmodel", with: path).utf8)
    }
    expectRefusal(folder, "expected files inside the package")
  }

  @Test func symbolicLinks() throws {
    for file in ["Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"] {
      let folder = try sound()
      let path = folder.package + "/" + file
      try FileManager.default.moveItem(atPath: path, toPath: folder.path + "/elsewhere")
      try FileManager.default.createSymbolicLink(
        atPath: path, withDestinationPath: folder.path + "/elsewhere")
      expectRefusal(folder, "a symbolic link")
    }
  }

  @Test func deepNesting() throws {
    let folder = try sound()
    // A list of lists of lists …, as the type of an input of a function.
    var type = Data()
    for _ in 0..<4000 { type = Self.field(2, Self.field(1, type)) }
    let input = Self.field(1, Data("x".utf8)) + Self.field(2, type)
    let function = Self.field(1, input)
    let entry = Self.field(1, Data("main".utf8)) + Self.field(2, function)
    let program = Data([0x08, 0x01]) + Self.field(2, entry)
    try (Data([0x08, 0x07]) + Self.field(502, program)).write(to: URL(filePath: folder.model))
    expectRefusal(folder, "that do not decode")
    let nested = String(repeating: "[", count: 200_000)
    try Data("{\"fileFormatVersion\": \(nested)".utf8)
      .write(to: URL(filePath: folder.package + "/Manifest.json"))
    expectRefusal(folder, "expected a JSON object")
  }

  /// A length-delimited field of a protobuf message.
  private static func field(_ number: Int, _ content: Data) -> Data {
    varint(number << 3 | 2) + varint(content.count) + content
  }

  private static func varint(_ number: Int) -> Data {
    var rest = number
    var bytes = Data()
    repeat {
      bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
    return bytes
  }

  @Test func dataThatLieElsewhere() throws {
    let folder = try sound()
    let (data, elsewhere) = (folder.package + "/Data", folder.path + "/elsewhere")
    try FileManager.default.moveItem(atPath: data, toPath: elsewhere)
    try FileManager.default.createSymbolicLink(atPath: data, withDestinationPath: elsewhere)
    expectRefusal(folder, "a symbolic link")
  }

  @Test func weightsThatAreAPipe() throws {
    let folder = try sound()
    try FileManager.default.removeItem(atPath: folder.weights)
    #expect(mkfifo(folder.weights, 0o600) == 0)
    expectRefusal(folder, "cannot be opened")
  }
}
