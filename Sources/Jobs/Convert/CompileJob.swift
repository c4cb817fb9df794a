internal import Foundation
internal import MIL

/// Packages as the folders `.mlmodelc` that applications load.
package struct CompileJob {
  /// A package, and the path that it was given by: its own, or that of the archive it was unpacked from.
  package typealias Source = (package: String, given: String)

  private let places: [(package: String, compiled: String)]

  /// - Parameters:
  ///   - packages: their paths.
  ///   - output: a path that ends in `.mlmodelc`, for one package; a folder; or nil for beside what was given.
  package init(_ packages: [Source], output: String?) throws(JobError) {
    let output = output.map { $0.count > 1 && $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    guard output != "", output?.hasSuffix(".mlpackage") != true else {
      throw .option(name: "--output", expected: "a folder or a name that ends in .mlmodelc", found: "'\(output ?? "")'")
    }
    guard packages.count == 1 || output?.hasSuffix(".mlmodelc") != true else {
      throw .option(name: "--output", expected: "a folder for \(packages.count) packages", found: output ?? "")
    }
    places = packages.map { source in
      let package = URL(filePath: source.package).standardizedFileURL
      if let output, output.hasSuffix(".mlmodelc") { return (package.path, output) }
      let folder = output ?? URL(filePath: source.given).standardizedFileURL.deletingLastPathComponent().path
      return (package.path, "\(folder)/\(Self.name(package.lastPathComponent))")
    }
    if let twice = places.first(where: { place in places.count { $0.compiled == place.compiled } > 1 }) {
      throw .option(name: "packages", expected: "a name for each", found: "\(twice.compiled) of two")
    }
  }

  private static func name(_ package: String) -> String {
    (package.hasSuffix(".mlpackage") ? String(package.dropLast(".mlpackage".count)) : package) + ".mlmodelc"
  }

  /// - Returns: paths of what was written.
  package func callAsFunction() throws -> [String] {
    // All of them are read before the first is written.
    let writers = try places.map { CompiledModelWriter(try ModelPackage($0.package)) }
    for (place, writer) in zip(places, writers) {
      let folder = (place.compiled as NSString).deletingLastPathComponent
      if !folder.isEmpty { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
      try writer.write(to: place.compiled)
    }
    return places.map(\.compiled)
  }
}
