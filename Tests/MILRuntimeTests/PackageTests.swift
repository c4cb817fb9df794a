import Foundation
import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// Every package of a folder against its expected results.
@Suite(.serialized) struct PackageTests {
  /// Arithmetic in 32-bit floats reaches 87 dB at the least and 110 dB mostly: what is lost comes
  /// from the order of sums. A wrong operation or weight lies far below.
  static let bound = 80.0

  @Test(arguments: PackageSet.cases) func matchesReference(_ item: PackageSet.Case) throws {
    let file = try TensorFile(item.references)
    let start = Date()
    let model = try PackageModel(path: item.package)
    let loaded = Date()
    let results = try model.run(inputs: file.group("in."))
    let end = Date()
    var worst = Double.infinity
    for (name, reference) in file.group("out.") {
      let result = try #require(results[name], "\(item): no result '\(name)'")
      worst = min(worst, PackageSet.decibels(result, reference: reference))
    }
    print(
      String(
        format: "%@: PSNR %.1f dB, bound %.0f dB, load %.3f s, run %.3f s, %@", item.name, worst,
        Self.bound, loaded.timeIntervalSince(start), end.timeIntervalSince(loaded),
        worst >= Self.bound ? "pass" : "FAIL"))
    #expect(worst >= Self.bound)
  }

  /// Compiled, read from its text and run: the same bits.
  @Test(arguments: PackageSet.cases) func runsCompiled(_ item: PackageSet.Case) throws {
    let scratch = try ScratchFolder()
    let path = scratch.file("Model.mlmodelc")
    try CompiledModelWriter(ModelPackage(item.package)).write(to: path)
    let inputs = try TensorFile(item.references).group("in.")
    let expected = try PackageModel(path: item.package).run(inputs: inputs)
    let found = try PackageModel(path: path).run(inputs: inputs)
    #expect(found.keys.sorted() == expected.keys.sorted())
    for (name, value) in expected {
      #expect(
        found[name]?.shape == value.shape && found[name]?.elements.bytes == value.elements.bytes, "\(item) \(name)")
    }
  }

  @Test(arguments: PackageSet.broken) func refusesDamage(_ path: String) {
    do {
      _ = try PackageModel(path: path)
      print("\(path): accepted, FAIL")
      Issue.record("\(path) was accepted")
    } catch {
      #expect(!"\(error)".contains("\n"))
      print("\((path as NSString).lastPathComponent): refused, pass: \(error)")
    }
  }

  /// coremltools' `save_multifunction`: relu of two numbers under the name "a", of three under "b".
  @Test func functionsHaveInterfacesOfTheirOwn() throws {
    let path = try #require(Bundle.module.resourcePath) + "/Packages/multifunction.mlpackage"
    #expect(try PackageModel(path: path).inputs.map(\.shape) == [[2]])
    #expect(try PackageModel(path: path, function: "b").inputs.map(\.shape) == [[3]])
    #expect(throws: MILError.self) { try PackageModel(path: path, function: "c") }
  }

  @Test func thereArePackages() {
    #expect(!PackageSet.cases.isEmpty, "no packages in \(PackageSet.folder)")
  }
}
