import Distribution
import Foundation

/// The `sdtune` executable under test, as a user starts it.
struct Program {
  static let repository = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// The executable beside the test bundle.
  static let executable: URL = {
    let bundle = Bundle.allBundles.map(\.bundleURL).first { $0.pathExtension == "xctest" }
    let started = URL(filePath: CommandLine.arguments[0])
    return (bundle ?? started).deletingLastPathComponent().appending(path: "sdtune")
  }()

  struct Result {
    let status: Int32
    let output: String
    let errors: String
  }

  /// Runs to the end.
  static func run(
    _ arguments: [String], environment: [String: String] = [:], ranks: Int = 1
  ) throws -> Result {
    let process = start(arguments, environment: environment, ranks: ranks)
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // Progress is far below the pipe's 64 KiB, so one after the other cannot block.
    let text = output.fileHandleForReading.readDataToEndOfFile()
    let lines = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
      errors: String(decoding: lines, as: UTF8.self))
  }

  /// Runs for at most so many seconds, then kills without warning.
  ///
  /// - Returns: whether it ended by itself.
  static func runAndKill(_ arguments: [String], after seconds: Double) throws -> Bool {
    let process = start(arguments)
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let deadline = Date(timeIntervalSinceNow: seconds)
    while process.isRunning, Date() < deadline { usleep(2000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    return process.terminationReason == .exit && process.terminationStatus == 0
  }

  /// Runs until its standard error has said something, or it has ended.
  ///
  /// - Returns: the process, and where the rest of what it says can be read.
  static func run(_ arguments: [String], untilErrorsContain text: String) throws -> (process: Process, errors: Pipe) {
    let process = start(arguments)
    process.standardOutput = FileHandle.nullDevice
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    var seen = ""
    while process.isRunning, !seen.contains(text) {
      seen += String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
    }
    return (process, errors)
  }

  /// - Parameter ranks: more than one are started by `mpirun`.
  static func start(_ arguments: [String], environment: [String: String] = [:], ranks: Int = 1) -> Process {
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    if ranks > 1 {
      process.executableURL = mpirun
      process.arguments =
        ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)", executable.path] + arguments
    }
    process.currentDirectoryURL = repository
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    return process
  }
}

extension Program {
  private static let mpirun = URL(filePath: "/usr/bin/mpirun")

  /// Whether several processes can work on one run here.
  static let hasRanks = Ranks.isBuilt && FileManager.default.isExecutableFile(atPath: mpirun.path)

  /// The processes that `mpirun` started.
  static func ranks(of process: Process) -> [pid_t] {
    let children = "/proc/\(process.processIdentifier)/task/\(process.processIdentifier)/children"
    let text = (try? String(contentsOfFile: children, encoding: .utf8)) ?? ""
    return text.split(separator: " ").compactMap { pid_t($0) }
  }
}
