internal import Checkpoints
internal import Foundation
internal import PictureSets

/// What a recipe's data is, told by its content.
package enum DataSource: Sendable, Equatable {
  /// Latents and tokens of the first format, made outside of sdtune.
  case latents(String)
  /// Pictures that were prepared.
  case cache(String)
  /// A folder, `.tar` or `.zip` of pictures with captions.
  case pictures(String)
  /// A text file with a prompt a line.
  case prompts(String)

  package init(_ path: String) throws {
    if PictureSet.isSet(path) {
      self = .pictures(path)
    } else if ["txt", "text"].contains(URL(filePath: path).pathExtension.lowercased()) {
      self = .prompts(path)
    } else {
      self = try LatentCache.isCache(path) ? .cache(path) : .latents(path)
    }
  }

  /// The prompts of a text file, without empty lines.
  static func prompts(of path: String) throws -> [String] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw PictureSetError.unreadable(path: path, reason: "no such file")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw PictureSetError.unreadable(path: path, reason: "expected prompts in UTF-8")
    }
    let prompts = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { !$0.isEmpty }
    guard !prompts.isEmpty else {
      throw PictureSetError.unreadable(path: path, reason: "expected a prompt a line, found none")
    }
    return prompts
  }
}
