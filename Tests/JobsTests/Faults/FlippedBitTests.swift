import Checkpoints
import Foundation
import Jobs
import MIL
import MILRuntime
import TestSupport
import Testing

/// Any bit of a package or a compiled model of ours that is not what was written is found, or changes nothing.
/// `SDTUNE_FAULTS=all` flips fifty times as many.
@Suite(.serialized) struct FlippedBitTests {
  private static let weights = "weights/weight.bin"

  @Test func flipsAreFound() throws {
    let scratch = try ScratchFolder()
    let package = scratch.file("Unet.mlpackage")
    let made = try Program.run([
      "palettize", "--model", FaultCase.model, "--bits", "4", "--output", package,
    ])
    #expect(made.status == 0, "\(made.errors)")
    let compiled = scratch.file("Unet.mlmodelc")
    #expect(try Program.run(["compile", package]).status == 0)
    try flip("\(package)/Data/com.apple.CoreML/\(Self.weights)", times: 40, in: package, isAlwaysFound: true)
    try flip("\(package)/Data/com.apple.CoreML/model.mlmodel", times: 30, in: package, isAlwaysFound: false)
    try flip("\(package)/Manifest.json", times: 15, in: package, isAlwaysFound: false)
    try flip("\(compiled)/\(Self.weights)", times: 20, in: compiled, isAlwaysFound: true)
    try flip("\(compiled)/model.mil", times: 25, in: compiled, isAlwaysFound: false)
    try flip("\(compiled)/coremldata.bin", times: 15, in: compiled, isAlwaysFound: false)
  }

  /// - Parameter isAlwaysFound: whether no bit may be without a meaning.
  private func flip(_ file: String, times: Int, in package: String, isAlwaysFound: Bool) throws {
    let whole = try Data(contentsOf: URL(filePath: file))
    let sound = try ModelPackage(package).model
    var found = 0
    let isThorough = ProcessInfo.processInfo.environment["SDTUNE_FAULTS"] == "all"
    for _ in 0..<(isThorough ? 50 * times : times) {
      var bytes = whole
      let (place, bit) = (Int.random(in: 0..<bytes.count), Int.random(in: 0..<8))
      bytes[place] ^= 1 << bit
      try bytes.write(to: URL(filePath: file))
      do throws(MILError) {
        _ = try PackageModel(path: package)
        // As `verify` does.
        try ModelPackage(package).checkContent()
        let read = try ModelPackage(package).model
        #expect(!isAlwaysFound && read == sound, "\(file): bit \(bit) of byte \(place) was not noticed")
      } catch {
        found += 1
        #expect(!"\(error)".contains("\n"))
      }
    }
    #expect(found > 0, "\(file)")
    try whole.write(to: URL(filePath: file))
    _ = try PackageModel(path: package)
  }

  /// A cache is checked when it is opened and row by row as it is read.
  @Test func flipsOfACacheAreFound() throws {
    let scratch = try ScratchFolder()
    try FaultCase.prepare.prepare(scratch.path)
    let path = scratch.file("set.h5")
    let whole = try Data(contentsOf: URL(filePath: path))
    let sound = try contents(path)
    let isThorough = ProcessInfo.processInfo.environment["SDTUNE_FAULTS"] == "all"
    var found = 0
    for _ in 0..<(isThorough ? 3000 : 80) {
      var bytes = whole
      let (place, bit) = (Int.random(in: 0..<bytes.count), Int.random(in: 0..<8))
      bytes[place] ^= 1 << bit
      try bytes.write(to: URL(filePath: path))
      do {
        _ = try Inspection.verified(path)
        #expect(try contents(path) == sound, "bit \(bit) of byte \(place) was not noticed")
      } catch {
        found += 1
        #expect(!"\(error)".contains("\n"))
      }
    }
    #expect(found > 0)
  }

  /// All arrays and attributes of a file.
  private func contents(_ path: String) throws -> [String: String] {
    let file = try HDF5File(reading: path)
    var contents = ["": "\(try file.attributes().sorted { $0.key < $1.key })"]
    var groups = [""]
    while let group = groups.popLast() {
      for name in try file.groups(in: "/" + group) { groups.append("\(group)/\(name)") }
      for name in try file.datasets(in: "/" + group) {
        let dataset = "\(group)/\(name)"
        contents[dataset] = "\(try file.shape(of: dataset) ?? []) \(try file.doubles(dataset).values)"
      }
    }
    return contents
  }

  /// The commands say it in one line.
  @Test func commandsRefuseDamage() throws {
    let scratch = try ScratchFolder()
    let package = scratch.file("Unet.mlpackage")
    #expect(try Program.run(["palettize", "--model", FaultCase.model, "--bits", "4", "--output", package]).status == 0)
    let file = "\(package)/Data/com.apple.CoreML/\(Self.weights)"
    var bytes = try Data(contentsOf: URL(filePath: file))
    bytes[bytes.count - 5] ^= 1
    try bytes.write(to: URL(filePath: file))
    let inputs = try scratch.write("none.safetensors", "\u{2}\0\0\0\0\0\0\0{}")
    for arguments in [
      ["verify", package], ["compile", package], ["run", package, "--inputs", inputs, "--output", scratch.file("o")],
    ] {
      let result = try Program.run(arguments)
      #expect(
        result.status == 1 && result.errors.contains("are not what sdtune wrote"), "\(arguments): \(result.errors)")
    }
    let inspected = try Program.run(["inspect", package])
    #expect(
      inspected.status == 0 && inspected.output.contains("changed since sdtune wrote them"), "\(inspected.errors)")
  }
}
