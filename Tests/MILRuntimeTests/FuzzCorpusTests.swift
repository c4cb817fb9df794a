import Foundation
import PackageFuzzing
import TestSupport
import Testing

/// What the fuzzer has found worth keeping: each input takes its own way through the reader.
@Suite struct FuzzCorpusTests {
  static let folder = (Bundle.module.resourcePath ?? "") + "/FuzzCorpus"
  static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()

  @Test func everyInputEndsInAnAnswer() throws {
    #expect(Self.names.count > 20)
    let scratch = try ScratchFolder()
    let path = scratch.file("a.mlpackage")
    var refused = 0
    for name in Self.names {
      let bytes = try Data(contentsOf: URL(filePath: "\(Self.folder)/\(name)"))
      try PackageInput(bytes).write(to: path)
      if case .refused = tryPackage(path) { refused += 1 }
    }
    print("fuzz corpus: \(refused) of \(Self.names.count) inputs refused, none stops the reader")
    // Some of the corpus are sound packages, or nothing behind the checks would be reached.
    #expect(refused < Self.names.count)
  }
}
