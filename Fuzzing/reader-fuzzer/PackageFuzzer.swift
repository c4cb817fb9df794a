internal import Foundation
internal import PackageFuzzing
internal import ReaderFuzzing

// A reader under libFuzzer, which has the `main` function: `make fuzz READER=…`, which the environment names. With
// `--readers` and `--seeds` it says which there are and where their inputs lie; with `--seed PACKAGE … --into DIR` it writes
// packages as inputs.

private let reader: FuzzedReader = {
  let name = ProcessInfo.processInfo.environment["READER"] ?? "package"
  guard let reader = FuzzedReader(rawValue: name) else {
    fatalError("READER: expected \(FuzzedReader.allCases.map(\.rawValue).joined(separator: ", ")), found \(name)")
  }
  return reader
}()

/// On a file system in memory where there is one: every input becomes files.
private let folder =
  (FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory())
  + "/sdtune-fuzz-\(ProcessInfo.processInfo.processIdentifier)"

@_cdecl("LLVMFuzzerInitialize")
package func initialize(
  _ count: UnsafeMutablePointer<CInt>?, _ arguments: UnsafeMutableRawPointer?
) -> CInt {
  switch CommandLine.arguments.dropFirst().first {
  case "--readers": print(FuzzedReader.allCases.map(\.rawValue).joined(separator: " "))
  case "--seeds": print(reader.seeds.joined(separator: " "))
  case "--seed":
    do { try writeSeeds(Array(CommandLine.arguments.dropFirst(2))) } catch { fatalError("\(error)") }
  default:
    atexit { try? FileManager.default.removeItem(atPath: folder) }
    return 0
  }
  exit(0)
}

@_cdecl("LLVMFuzzerTestOneInput")
package func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  reader.read(bytes.map { Data(bytes: $0, count: count) } ?? Data(), in: folder)
  return 0
}

/// - Parameter arguments: packages, `--into` and a folder
private func writeSeeds(_ arguments: [String]) throws {
  guard let at = arguments.firstIndex(of: "--into"), at + 1 < arguments.count else {
    fatalError("--seed PACKAGE … --into DIR")
  }
  for package in arguments[..<at] {
    let name = URL(filePath: package).deletingPathExtension().lastPathComponent
    try PackageInput(package: package).bytes
      .write(to: URL(filePath: arguments[at + 1]).appending(path: name + ".package"))
  }
}
