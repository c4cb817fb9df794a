import Foundation
import TestSupport
import Testing

/// The program with a library before the C library that makes operations on files fail (`Tests/_Faults`).
struct FaultyProgram {
  /// What happens at an operation on a file.
  enum Fault: CustomTestStringConvertible {
    /// One operation ends with an I/O error.
    case error
    /// From one operation on, all end as on a full disk.
    case fullDisk
    case kill

    var environment: [String: String] {
      switch self {
      case .error: ["SDTUNE_FAULT": "\(EIO)"]
      case .fullDisk: ["SDTUNE_FAULT": "\(ENOSPC)", "SDTUNE_FAULT_LASTS": "1"]
      case .kill: ["SDTUNE_FAULT": "kill"]
      }
    }

    var testDescription: String { "\(self)" }
  }

  /// An operation that changes files, as the program does it.
  struct Operation {
    let kind: String
    let path: String
  }

  static let library = Program.executable.deletingLastPathComponent().appending(path: "libFaults.so").path

  /// Operations on files below it count.
  let folder: String

  func run(_ arguments: [String], _ fault: Fault, at operation: Int) throws -> Program.Result {
    try run(arguments, fault.environment.merging(["SDTUNE_FAULT_AT": "\(operation)"]) { $1 })
  }

  /// Runs and tells what the program does.
  func operations(of arguments: [String]) throws -> [Operation] {
    let log = folder + ".log"
    defer { try? FileManager.default.removeItem(atPath: log) }
    let result = try run(arguments, ["SDTUNE_FAULT_LOG": log])
    #expect(result.status == 0, "\(result.errors)")
    return try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map { line in
      let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
      return Operation(kind: parts[0], path: parts[1])
    }
  }

  /// Runs and keeps all that is done to files.
  ///
  /// - Parameter path: of the journal.
  func run(_ arguments: [String], journal path: String) throws -> Program.Result {
    try run(arguments, ["SDTUNE_FAULT_JOURNAL": path])
  }

  private func run(_ arguments: [String], _ settings: [String: String]) throws -> Program.Result {
    try Program.run(
      arguments, environment: settings.merging(["LD_PRELOAD": Self.library, "SDTUNE_FAULT_UNDER": folder]) { $1 })
  }
}
