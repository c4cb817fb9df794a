import Foundation
import TestSupport
import Testing

/// A power cut drops what was not synchronized, in any order, and loses nothing older than the last checkpoint that was in
/// place by then. `SDTUNE_FAULTS=all` tries a thousand instants.
@Suite(.serialized, .timeLimit(.minutes(600))) struct PowerCutTests {
  @Test func nothingOlderThanTheLastCheckpointIsLost() throws {
    let scratch = try ScratchFolder()
    let (before, work, journal) = (scratch.file("before"), scratch.file("work"), scratch.file("journal"))
    let files = FileManager.default
    try files.createDirectory(atPath: work, withIntermediateDirectories: true)
    try FaultCase.tune.prepare(work)
    try files.copyItem(atPath: work, toPath: before)
    let arguments = FaultCase.tune.arguments(work)
    let result = try FaultyProgram(folder: work).run(arguments, journal: journal)
    #expect(result.status == 0, "\(result.errors)")
    let new = FaultCase.tune.outputs.map { Tree("\(work)/\($0)") }

    let steps = PowerCut.steps(try Data(contentsOf: URL(filePath: journal)))
    #expect(steps.count > 1000)
    let renamed = steps.indices.filter { steps[$0].kind == "rename" && steps[$0].second.hasSuffix("/state.h5") }
    #expect(renamed.count == 2)
    var generator = SystemRandomNumberGenerator()
    let count = ProcessInfo.processInfo.environment["SDTUNE_FAULTS"] == "all" ? 1000 : 10
    // Half of them close to where files take their places.
    let changes = steps.indices.filter { ["rename", "exchange", "sync"].contains(steps[$0].kind) }
    for number in 0..<count {
      let instant = number % 2 == 0 ? Int.random(in: 0..<steps.count) : min(changes.randomElement()! + 1, steps.count)
      try files.removeItem(atPath: work)
      try files.copyItem(atPath: before, toPath: work)
      let disk = PowerCut(work)
      for step in steps[..<instant] { disk.take(step) }
      try files.removeItem(atPath: work)
      try disk.write(to: work, using: &generator)
      // The log says step 1 of the first checkpoint, and 2 of both others.
      let attributes = try Program.run(["inspect", work + "/run/state.h5", "--json"])
      #expect(attributes.status == 0, "at \(instant): \(attributes.errors)")
      let resumed = try Program.run(arguments)
      #expect(resumed.status == 0, "at \(instant) of \(steps.count): \(resumed.errors)")
      if instant > renamed[1] + 1 {
        #expect(
          !resumed.errors.contains("step     2/2"), "at \(instant): the last checkpoint was lost: \(resumed.errors)")
      }
      #expect(FaultCase.tune.outputs.map { Tree("\(work)/\($0)") } == new, "at \(instant): other bits")
    }
  }
}
