internal import Files
internal import Foundation
internal import MILRuntime
package import Models
package import StableDiffusion

/// Where one part of a model comes from: a native component in whatever form, or a package.
package enum ModelPlace: Sendable {
  case component(ModelComponent)
  case package(String)

  /// A package or a compiled model; otherwise a component's folder, or the part of a whole model's folder or single file.
  package init(path: String, _ part: ModelPart) throws {
    self = PackageModel.isPackage(path) ? .package(path) : .component(try ModelComponent(path: path, part))
  }

  /// A ControlNet's folder, package or compiled model.
  package init(controlNet path: String) throws {
    self = PackageModel.isPackage(path) ? .package(path) : .component(try ModelComponent(controlNet: path))
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
        part: "ControlNet", path: path, hint: "expected a folder with config.json, an .mlpackage or an .mlmodelc")
    }
    try self.init(folder: path)
  }
}
