import Foundation
import Kernels
import MILRuntime

/// A folder of packages with their expected results: `NAME.mlpackage`, `NAME.io.safetensors`,
/// `NAME.io2.safetensors` …, and `broken/NAME.mlpackage`, which must be refused.
///
/// `SDTUNE_PACKAGES` names the folder; without it, the one beside this file is used.
enum PackageSet {
  static let folder =
    ProcessInfo.processInfo.environment["SDTUNE_PACKAGES"]
    ?? Bundle.module.resourcePath.map { $0 + "/Packages" } ?? ""

  struct Case: Sendable, CustomStringConvertible {
    let package: String
    let references: String
    var description: String { name }
    var name: String {
      ((references as NSString).lastPathComponent as NSString).deletingPathExtension
    }
  }

  static var cases: [Case] { cases(in: folder) }

  static func cases(in folder: String) -> [Case] {
    files(folder).filter { $0.hasSuffix(".safetensors") && $0.contains(".io") }.map { file in
      let name = file.components(separatedBy: ".io")[0]
      return Case(package: "\(folder)/\(name).mlpackage", references: "\(folder)/\(file)")
    }
  }

  static var broken: [String] {
    files(folder + "/broken").filter { $0.hasSuffix(".mlpackage") }.map { "\(folder)/broken/\($0)" }
  }

  private static func files(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
  }

  /// Peak signal to noise in decibels, the peak being the largest magnitude of the reference.
  static func decibels(_ result: NamedTensor, reference: NamedTensor) -> Double {
    guard result.shape == reference.shape else { return -.infinity }
    let pairs = zip(result.elements.elements, reference.elements.elements)
    let sum = pairs.reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    let error = (sum / Double(max(1, reference.elements.count))).squareRoot()
    let peak = reference.elements.elements.reduce(0.0) { max($0, Double(abs($1))) }
    if sum.isNaN { return -.infinity }
    return error == 0 ? .infinity : 20 * log10(max(peak, 1e-30) / error)
  }
}
