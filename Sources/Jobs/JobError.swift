internal import Foundation
package import Kernels

/// What a command was asked that cannot be done; each one line.
package enum JobError: Error, CustomStringConvertible, Equatable {
  /// A file or folder that is none of the kinds a command takes.
  case notATarget(path: String, expected: String)
  /// A named input is missing or has another shape.
  case input(target: String, name: String, expected: String, found: String)
  /// A recipe file that cannot be read.
  case unreadable(path: String, reason: String)
  /// A file or stream that does not take a result.
  case unwritable(path: String, reason: String)
  /// A file that is not what a command needs.
  case unusable(file: String, expected: String, found: String)
  /// No assignment of bits keeps to the budget.
  case budget(leastBits: Double, leastMegabytes: Double, bestPSNR: Double)
  /// A command-line value out of range.
  case option(name: String, expected: String, found: String)
  /// A run that needs more bytes of memory than it may have, and settings that would help.
  case tooLarge(needed: Int, limit: MemoryLimit, advice: [String])

  package var description: String {
    switch self {
    case .tooLarge(let needed, let limit, let advice):
      String(
        format: "memory: a step needs about %.1f GiB, %@ has %.1f: ", Double(needed) / 1_073_741_824,
        limit.source as NSString, Double(limit.bytes) / 1_073_741_824)
        + (advice.isEmpty ? "no setting would make it small enough" : "try " + advice.joined(separator: ", "))
    case .notATarget(let path, let expected): "\(path): expected \(expected)"
    case .input(let target, let name, let expected, let found):
      "\(target): input '\(name)': expected \(expected), found \(found)"
    case .unreadable(let path, let reason): "\(path): cannot be read: \(reason)"
    case .unwritable(let path, let reason): "\(path): cannot be written: \(reason)"
    case .unusable(let file, let expected, let found): "\(file): expected \(expected), found \(found)"
    case .budget(let bits, let megabytes, let psnr):
      String(
        format: "the budget is out of reach: the smallest palettes take %.3f bits a weight (%.2f MB in all), the best "
          + "reach %.1f dB; allow more, or other --bits and --group-sizes", bits, megabytes, psnr)
    case .option(let name, let expected, let found):
      "\(name): expected \(expected), found \(found)"
    }
  }
}
