import FoundationEssentials
import TestSupport
import Testing

/// A folder of references that is missing or empty is a failure, not a set that holds nothing against us.
@Suite struct ReferenceFolderTests {
  @Test func thereAreReferences() {
    let known = ["forward", "backward", "pipeline", "schedulers", "rng", "dkm", "tokenizer-clip"]
    let present = known.filter { !References.entries($0).isEmpty }
    #expect(!present.isEmpty, "\(References.folder.path): none of \(known.joined(separator: ", "))")
    if present.contains("forward") || present.contains("pipeline") {
      #expect(!References.entries("models").isEmpty, "\(References.folder.path): no models")
    }
  }
}
