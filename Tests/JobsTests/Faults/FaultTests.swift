import Foundation
import TestSupport
import Testing

/// Every write, synchronization, renaming and closing that fails is noticed, loses nothing and leaves nothing behind; so does
/// a kill at any of them. `SDTUNE_FAULTS=all` tries every operation, which takes hours; otherwise a few of each kind.
@Suite(.serialized, .timeLimit(.minutes(600))) struct FaultTests {
  @Test(arguments: FaultCase.all) func oneErrorIsNoticed(_ item: FaultCase) throws { try check(item, .error) }

  @Test(arguments: FaultCase.all) func fullDiskIsNoticed(_ item: FaultCase) throws { try check(item, .fullDisk) }

  @Test(arguments: FaultCase.all) func killsLoseNothing(_ item: FaultCase) throws { try check(item, .kill) }

  private func check(_ item: FaultCase, _ fault: FaultyProgram.Fault) throws {
    let scratch = try ScratchFolder()
    let (before, work) = (scratch.file("before"), scratch.file("work"))
    let files = FileManager.default
    func begin() throws {
      try files.removeItem(atPath: work)
      try files.copyItem(atPath: before, toPath: work)
    }
    // Paths in a recipe are part of a checkpoint: the old files are made where the new ones will be.
    try files.createDirectory(atPath: work, withIntermediateDirectories: true)
    try item.prepare(work)
    try files.copyItem(atPath: work, toPath: before)
    let program = FaultyProgram(folder: work)
    let old = item.outputs.map { Tree("\(work)/\($0)") }
    let operations = try program.operations(of: item.arguments(work))
    let new = item.outputs.map { Tree("\(work)/\($0)") }
    #expect(zip(old, new).allSatisfy { $0 != $1 })
    var noticed = 0
    for index in Self.chosen(operations) {
      try begin()
      let result = try program.run(item.arguments(work), fault, at: index + 1)
      let what = "\(item.name), \(fault) at \(index + 1): \(operations[index].kind) \(operations[index].path)"
      noticed += result.status == 0 ? 0 : 1
      if fault == .kill { #expect(result.status == SIGKILL, "\(what)") } else { expectOneLine(result, what) }
      let found = item.outputs.map { Tree("\(work)/\($0)") }
      if result.status == 0 { #expect(found == new, "\(what): unnoticed") }
      // A run writes several checkpoints.
      if item.name != FaultCase.tune.name {
        for (place, tree) in found.enumerated() { #expect(tree == old[place] || tree == new[place], "\(what): mixed") }
      }
      if fault == .error { #expect(Self.strays(work).isEmpty, "\(what): \(Self.strays(work))") }
      let again = try Program.run(item.arguments(work))
      #expect(again.status == 0, "\(what), again: \(again.errors)")
      #expect(item.outputs.map { Tree("\(work)/\($0)") } == new, "\(what): other bits")
      #expect(Self.strays(work).isEmpty, "\(what), again: \(Self.strays(work))")
    }
    #expect(noticed > 0)
  }

  private func expectOneLine(_ result: Program.Result, _ what: String) {
    guard result.status != 0 else { return }
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1 && !result.errors.contains("Domain"), "\(what): \(result.errors)")
  }

  /// Some operations of each kind on each sort of file, or all of them.
  private static func chosen(_ operations: [FaultyProgram.Operation]) -> [Int] {
    guard ProcessInfo.processInfo.environment["SDTUNE_FAULTS"] != "all" else { return Array(operations.indices) }
    let groups = Dictionary(grouping: operations.indices) { index in
      let name = URL(filePath: operations[index].path).lastPathComponent
      return operations[index].kind + " " + name.filter { !$0.isNumber }
    }
    return groups.sorted { $0.key < $1.key }.shuffled().prefix(4).compactMap { $0.value.randomElement() }
  }

  /// What writers make on the way.
  private static func strays(_ folder: String) -> [String] {
    (FileManager.default.subpaths(atPath: folder) ?? []).filter {
      $0.contains(".partial") || $0.contains(".nosync") || $0.contains("-old")
    }
  }
}

/// All bytes of a file or of a folder's files; empty of what is not there.
struct Tree: Equatable {
  private var files: [String: Data] = [:]

  init(_ path: String) {
    for name in [""] + (FileManager.default.subpaths(atPath: path) ?? []) {
      if let data = FileManager.default.contents(atPath: name.isEmpty ? path : "\(path)/\(name)") { files[name] = data }
    }
  }

  var isEmpty: Bool { files.isEmpty }
}
