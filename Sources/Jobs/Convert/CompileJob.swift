internal import Foundation
internal import MIL

/// Packages as the folders `.mlmodelc` that applications load.
package struct CompileJob {
  private let places: [(package: String, compiled: String)]

  /// - Parameters:
  ///   - packages: their paths.
  ///   - output: a path that ends in `.mlmodelc`, for one package; a folder; or nil for beside each package.
  package init(_ packages: [String], output: String?) throws(JobError) {
    guard packages.count == 1 || output?.hasSuffix(".mlmodelc") != true else {
      throw .option(name: "--output", expected: "a folder for \(packages.count) packages", found: output ?? "")
    }
    places = packages.map { path in
      let package = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
      guard let output else { return (package, (package as NSString).deletingPathExtension + ".mlmodelc") }
      return (package, output.hasSuffix(".mlmodelc") ? output : "\(output)/\(Self.name(package))")
    }
    if let twice = places.first(where: { place in places.count { $0.compiled == place.compiled } > 1 }) {
      throw .option(name: "packages", expected: "a name for each", found: "\(twice.compiled) of two")
    }
  }

  private static func name(_ package: String) -> String {
    ((package as NSString).lastPathComponent as NSString).deletingPathExtension + ".mlmodelc"
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
