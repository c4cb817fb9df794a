internal import Files
internal import Foundation
internal import MILRuntime
package import Models
package import StableDiffusion

/// Where one part of a model comes from: a native component in whatever form, or a package.
package enum ModelPlace: Sendable {
  case component(ModelComponent)
  case package(String)

  /// A package by its ending; otherwise a component's folder, or the part of a whole model's folder or single file.
  package init(path: String, _ part: ModelPart) throws {
    self =
      path.hasSuffix(".mlpackage") || path.hasSuffix(".mlpackage/")
      ? .package(path) : .component(try ModelComponent(path: path, part))
  }

  package var path: String {
    switch self {
    case .component(let component): component.origin
    case .package(let path): path
    }
  }

  /// What a UNet's package says it predicts, if it is one and says so.
  func prediction() throws -> String? {
    guard case .package(let path) = self else { return nil }
    return try PackageModel(path: path).note("sdtune.prediction_type")
  }
}

extension ModelComponent {
  /// A component's own folder, or the part of a whole model's folder or single file.
  package init(path: String, _ part: ModelPart) throws {
    if FileManager.default.fileExists(atPath: path + "/config.json") {
      try self.init(folder: path)
    } else {
      self = try ModelSource(path).component(part)
    }
  }

  /// A ControlNet's folder.
  package init(controlNet path: String) throws {
    guard FileManager.default.fileExists(atPath: path + "/config.json") else {
      throw ModelError.missing(
        part: "ControlNet", path: path, hint: "expected a folder with config.json, or an .mlpackage")
    }
    try self.init(folder: path)
  }
}
