internal import Foundation
internal import PackageFuzzing

// The package reader under libFuzzer: `make fuzz`. With `--seed PACKAGE … --into DIR` it writes packages as inputs.

/// Of libFuzzer, which `--sanitize fuzzer` links.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// On a file system in memory where there is one: every input becomes files.
private let folder =
  (FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory())
  + "/sdtune-fuzz-\(ProcessInfo.processInfo.processIdentifier).mlpackage"

private func seeds(_ arguments: [String]) throws {
  guard let at = arguments.firstIndex(of: "--into"), at + 1 < arguments.count else {
    fatalError("--seed PACKAGE … --into DIR")
  }
  for package in arguments[1..<at] {
    let name = URL(filePath: package).deletingPathExtension().lastPathComponent
    try PackageInput(package: package).bytes
      .write(to: URL(filePath: arguments[at + 1]).appending(path: name + ".package"))
  }
}

if CommandLine.arguments.dropFirst().first == "--seed" {
  try seeds(Array(CommandLine.arguments.dropFirst()))
} else {
  var count = CommandLine.argc
  var arguments = CommandLine.unsafeArgv
  let status = withUnsafeMutablePointer(to: &arguments) { arguments in
    runFuzzer(&count, arguments) { bytes, count in
      let input = PackageInput(bytes.map { Data(bytes: $0, count: count) } ?? Data())
      do { try input.write(to: folder) } catch { return -1 }
      _ = tryPackage(folder)
      return 0
    }
  }
  try? FileManager.default.removeItem(atPath: folder)
  exit(status)
}
