import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

/// Runs whose numbers are none any more: what went wrong is named, what is good is kept, and a lower rate may help.
@Suite(.serialized) struct DivergenceTests {
  /// The bundled latents, so large that a normalization's variance nearly overflows: steps at an absurd rate do the rest.
  private func largeLatents(_ path: String) throws {
    let file = try HDF5File(reading: Program.repository.appending(path: "checkpoints/emoji-sd/latents.h5").path)
    try HDF5RowFile.write(to: path) { writer in
      for name in try file.datasets(in: "/") { try copy(name, file, writer) }
      for group in try file.groups(in: "/") {
        try writer.createGroup(group)
        for name in try file.datasets(in: "/" + group) { try copy("\(group)/\(name)", file, writer) }
      }
      for (name, value) in try file.attributes() { try writer.setAttribute(name, value) }
    }
  }

  private func copy(_ name: String, _ file: borrowing HDF5File, _ writer: borrowing HDF5Writer) throws {
    guard !name.hasSuffix("file_name") else { return }
    if name.hasSuffix("latents") {
      let (shape, latents) = try file.floats(name)
      try writer.write(name, CheckpointArray(Buffer(latents.elements.map { $0 * 1e18 }), shape: shape))
    } else {
      let (shape, values) = try file.integers(name)
      try writer.write(name, CheckpointArray(shape: shape, .integers(values)))
    }
  }

  private func arguments(_ scratch: ScratchFolder, _ run: String, _ settings: [String]) -> [String] {
    let all = [
      "training.steps=8", "training.loss=diffusion", "training.warmupSteps=0", "training.learningRate=0.9",
      "evaluation.pictures=1", "evaluation.timesteps=[500]",
    ]
    return ["--recipe", "recipes/smoke.json", "--data", scratch.file("latents.h5"), "--output", scratch.file(run)]
      + (all + settings).flatMap { ["--set", $0] }
  }

  @Test func aRunStopsOrGoesBack() throws {
    let scratch = try ScratchFolder()
    try largeLatents(scratch.file("latents.h5"))
    let stopped = try Program.run(arguments(scratch, "stopped", ["training.keepLast=3"]))
    #expect(stopped.status == 1 && stopped.errors.contains("error: step 3: "), "\(stopped.errors)")
    #expect(stopped.errors.contains("not finite") || stopped.errors.contains("norm is"), "\(stopped.errors)")
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.file("stopped")).filter {
      $0.hasSuffix(".h5")
    }
    #expect(names.sorted() == ["state-00000001.h5", "state-00000002.h5", "state-00000003.h5", "state.h5"])
    for name in names { #expect(try Program.run(["verify", scratch.file("stopped/" + name)]).status == 0) }

    // A checkpoint of just before is too late; of earlier ones one is not.
    let arguments = arguments(scratch, "back", ["training.keepLast=3", "training.onNaN=rollback"])
    let back = try Program.run(arguments)
    #expect(back.status == 0, "\(back.errors)")
    #expect(
      back.errors.contains("warning: step 3: ") && back.errors.contains("times the learning rate"), "\(back.errors)")
    let whole = try Data(contentsOf: URL(filePath: scratch.file("back/state.h5")))

    // A run that is killed after it went back ends with the same bits.
    try FileManager.default.removeItem(atPath: scratch.file("back"))
    let (process, _) = try Program.run(arguments, untilErrorsContain: "learning rate\nstep")
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    let resumed = try Program.run(arguments + ["--resume"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try Data(contentsOf: URL(filePath: scratch.file("back/state.h5"))) == whole)
  }

  @Test func goingBackIsBounded() throws {
    let scratch = try ScratchFolder()
    try largeLatents(scratch.file("latents.h5"))
    let result = try Program.run(arguments(scratch, "run", ["training.keepLast=1", "training.onNaN=rollback"]))
    // Without earlier checkpoints the run begins anew, with a lower rate each time.
    #expect(result.status == 0 || result.errors.contains("was halved four times"), "\(result.errors)")
  }

  /// The last, and those with the lowest loss of the steps before them; a damaged checkpoint names the next one.
  @Test func checkpointsAreKept() throws {
    let scratch = try ScratchFolder()
    let arguments = [
      "--recipe", "recipes/smoke.json", "--output", scratch.file("run"), "--set", "training.steps=8",
      "--set", "training.keepLast=2", "--set", "training.keepBest=1", "--set", "evaluation.pictures=1",
    ]
    #expect(try Program.run(arguments).status == 0)
    let kept = try FileManager.default.contentsOfDirectory(atPath: scratch.file("run"))
      .filter { $0.hasPrefix("state-") }.sorted()
    let losses = try #require(CheckpointFile.read(from: scratch.file("run/state.h5")).arrays["losses/loss"]?.doubles)
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] }) + 1
    #expect(kept == Set([7, 8, best]).sorted().map { String(format: "state-%08d.h5", $0) })
    let path = scratch.file("run/state.h5")
    var bytes = try Data(contentsOf: URL(filePath: path))
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: URL(filePath: path))
    let refused = try Program.run(arguments + ["--resume"])
    #expect(refused.status == 1 && refused.errors.contains("state-00000008.h5 is the next one"), "\(refused.errors)")
  }
}
