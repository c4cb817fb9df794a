internal import Foundation
internal import StableDiffusion

/// A whole Stable Diffusion model in diffusers' layout: which components it has and of which family it is.
package struct ModelFolder: Sendable {
  package enum Family: String, Sendable { case base = "SD", xl = "SDXL", refiner = "SDXL refiner" }

  package let path: String
  /// What the model calls itself in file names and metadata.
  package let name: String
  package let family: Family

  /// - Parameter name: the folder's own if not given.
  package init(_ path: String, name: String? = nil) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
    else { throw JobError.notATarget(path: path, expected: "a Stable Diffusion model in diffusers' folder layout") }
    self.path = path
    self.name = name ?? URL(filePath: path).standardizedFileURL.lastPathComponent
    family = try Self.family(path)
  }

  /// From `model_index.json`; without one, a second text encoder is SDXL's.
  private static func family(_ path: String) throws -> Family {
    let index = path + "/model_index.json"
    guard FileManager.default.fileExists(atPath: index) else {
      return FileManager.default.fileExists(atPath: path + "/text_encoder_2") ? .xl : .base
    }
    guard let data = FileManager.default.contents(atPath: index),
      let json = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
    else { throw JobError.unreadable(path: index, reason: "not a JSON object") }
    guard (json["_class_name"] as? String ?? "").hasPrefix("StableDiffusionXL") else { return .base }
    return json["requires_aesthetics_score"] as? Bool ?? false ? .refiner : .xl
  }

  package func has(_ component: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(path)/\(component)/config.json")
  }

  /// The folder of a component.
  ///
  /// - Throws: if the model has none.
  package func component(_ component: String) throws -> String {
    guard has(component) else {
      throw JobError.notATarget(
        path: "\(path)/\(component)", expected: "a component folder with config.json in this model")
    }
    return "\(path)/\(component)"
  }

  /// Tokens of a prompt: as many as the text encoder has places for, 77 where there is none to ask.
  package func tokens() throws -> Int {
    for encoder in ["text_encoder", "text_encoder_2"] where has(encoder) {
      return try TextEncoderConfiguration(folder: "\(path)/\(encoder)").positions
    }
    return 77
  }

  /// What the UNet predicts, by the scheduler's configuration; noise where there is none.
  package func prediction() throws -> String {
    guard FileManager.default.fileExists(atPath: path + "/scheduler/scheduler_config.json") else {
      return NoiseSchedule.Prediction.epsilon.rawValue
    }
    return try NoiseSchedule(folder: path + "/scheduler").prediction.rawValue
  }
}
