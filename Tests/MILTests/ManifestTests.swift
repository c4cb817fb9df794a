import Foundation
import MIL
import TestSupport
import Testing

@Suite struct ManifestTests {
  /// A sound package of one operation.
  private func write(_ path: String) throws {
    let writer = try ModelPackageWriter(path)
    let program = ProgramBuilder(target: .iOS16, weights: writer.weights)
    let x = program.input("x", .float16, [1, 4])
    program.output(try program.operation("relu", name: "y", ["x": .value(x)], .float16, [1, 4]))
    try writer.finish(program.model())
  }

  private func item(_ path: String) -> String {
    #"{"path": "\#(path)", "name": "n", "author": "a", "description": "d"}"#
  }

  private func manifest(_ path: String) -> String {
    """
    {"fileFormatVersion": "1.0.0", "rootModelIdentifier": "r",
     "itemInfoEntries": {"r": \(item(path))}}
    """
  }

  @Test func acceptsItsOwn() throws {
    try withScratchFolder { folder in
      try write(folder + "/a.mlpackage")
      #expect(try ModelPackage(folder + "/a.mlpackage/").model.inputs.map(\.name) == ["x"])
      try manifest("com.apple.CoreML/model.mlmodel").write(
        toFile: folder + "/a.mlpackage/Manifest.json", atomically: true, encoding: .utf8)
      #expect(try ModelPackage(folder + "/a.mlpackage").model.outputs.map(\.name) == ["y"])
    }
  }

  @Test func clearsAwayWhatKilledWritersLeft() throws {
    try withScratchFolder { folder in
      // No process has this number: it is above what Linux gives out.
      let abandoned = folder + "/a.mlpackage.partial-99999999"
      let alive = folder + "/a.mlpackage.partial-1"
      for path in [abandoned, alive] {
        try FileManager.default.createDirectory(atPath: path + "/Data", withIntermediateDirectories: true)
      }
      try write(folder + "/a.mlpackage")
      #expect(!FileManager.default.fileExists(atPath: abandoned))
      #expect(FileManager.default.fileExists(atPath: alive))
    }
  }

  @Test(arguments: [
    "../model.mlmodel", "/etc/passwd", "com.apple.CoreML/../../outside.mlmodel", "", ".",
    "com.apple.CoreML//model.mlmodel", "link/model.mlmodel", "linked.mlmodel",
    "com.apple.CoreML", "missing.mlmodel", "a\\u0000b",
  ]) func refusesPaths(_ path: String) throws {
    try withScratchFolder { folder in
      let package = folder + "/a.mlpackage"
      try write(package)
      let files = FileManager.default
      let model = package + "/Data/com.apple.CoreML/model.mlmodel"
      try files.copyItem(atPath: model, toPath: folder + "/outside.mlmodel")
      try files.createSymbolicLink(
        atPath: package + "/Data/linked.mlmodel", withDestinationPath: model)
      try files.createSymbolicLink(
        atPath: package + "/Data/link",
        withDestinationPath: package + "/Data/com.apple.CoreML")
      try manifest(path).write(
        toFile: package + "/Manifest.json", atomically: true, encoding: .utf8)
      #expect(throws: MILError.self) { try ModelPackage(package) }
    }
  }

  @Test(arguments: [
    "", "null", "[]", "{}", "{", #"{"fileFormatVersion": 1}"#,
    #"{"fileFormatVersion":"2.0.0","rootModelIdentifier":"r","itemInfoEntries":{}}"#,
    #"{"fileFormatVersion":"1.0.0","rootModelIdentifier":"r","itemInfoEntries":{}}"#,
    #"{"fileFormatVersion":"1.0.0","rootModelIdentifier":"r","itemInfoEntries":{"r":{}}}"#,
    #"{"fileFormatVersion":"1.0.0","rootModelIdentifier":7,"itemInfoEntries":[]}"#,
    String(repeating: "[", count: 100_000),
  ]) func refusesManifests(_ text: String) throws {
    try withScratchFolder { folder in
      try write(folder + "/a.mlpackage")
      try text.write(
        toFile: folder + "/a.mlpackage/Manifest.json", atomically: true, encoding: .utf8)
      let error = #expect(throws: MILError.self) { try ModelPackage(folder + "/a.mlpackage") }
      #expect(error.map { !"\($0)".contains("\n") } ?? false)
    }
  }

  @Test func writesTheSameBytesAgain() throws {
    try withScratchFolder { folder in
      try write(folder + "/a.mlpackage")
      try write(folder + "/b.mlpackage")
      // Replacing an older package leaves nothing of it.
      try write(folder + "/b.mlpackage")
      for file in ["Manifest.json", "Data/com.apple.CoreML/model.mlmodel"] {
        let first = try Data(contentsOf: URL(filePath: "\(folder)/a.mlpackage/\(file)"))
        #expect(try Data(contentsOf: URL(filePath: "\(folder)/b.mlpackage/\(file)")) == first)
      }
      let left = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(left == ["a.mlpackage", "b.mlpackage"])
    }
  }

  @Test func anUnfinishedPackageLeavesNothing() throws {
    try withScratchFolder { folder in
      _ = try ModelPackageWriter(folder + "/a.mlpackage")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }
}
