internal import Files
internal import Foundation
internal import Recipes
internal import Training

/// Mixed-bit recipes as Apple's `mixed_bit_compression_pre_analysis` writes and `…_apply` reads them: bits by module
/// name, 16 for what stays.
package struct AppleMixedBitRecipe: Encodable, Sendable {
  package var modelVersion: String
  /// PSNR in dB of the output by name of a recipe.
  package var baselines: [String: Double]
  /// For each number of bits the PSNR of every module palettized alone, one number a prompt (here: one in all).
  package var singleLayer: [String: [String: [Double]]]
  /// Bits by module, for each recipe's name.
  package var recipes: [String: [String: Int]]

  enum CodingKeys: String, CodingKey {
    case modelVersion = "model_version"
    case baselines
    case singleLayer = "single_layer"
    case recipes
  }

  /// - Parameter assignment: bits by weight name.
  init(
    model: String, tensors: [SensitivityAnalysis.Tensor], assignment: [String: Int], averageBits: Double,
    psnr: Double
  ) {
    let name = String(format: "recipe_%.2f_bit_mixedpalette", averageBits)
    modelVersion = model
    baselines = [name: psnr]
    recipes = [name: Dictionary(uniqueKeysWithValues: assignment.map { (Self.module($0), $1) })]
    singleLayer = [:]
    for tensor in tensors {
      for candidate in tensor.candidates where candidate.groupSize == 0 && candidate.vector == 1 {
        singleLayer["\(candidate.bits)", default: [:]][Self.module(tensor.name)] = [candidate.psnr]
      }
    }
  }

  /// What is read of a file: all else changes from version to version of Apple's scripts.
  private struct Recipes: Decodable {
    let recipes: [String: [String: Int]]
  }

  /// Bits by weight name, as a file has them.
  ///
  /// - Parameter key: the recipe's name; may be left out where there is one only.
  /// - Throws: ``JobError`` unless the file is of this form.
  package static func bits(_ key: String?, file: String) throws -> [String: Int] {
    guard let data = FileManager.default.contents(atPath: file) else {
      throw JobError.unreadable(path: file, reason: "no such file")
    }
    guard let recipes = try? JSONDecoder().decode(Recipes.self, from: data).recipes else {
      throw JobError.unusable(
        file: file, expected: "a mixed-bit recipe with 'recipes' of bits by module", found: "another document")
    }
    let names = recipes.keys.sorted()
    guard let name = key ?? (names.count == 1 ? names[0] : nil), let recipe = recipes[name] else {
      throw JobError.unusable(
        file: file, expected: "one of the recipes \(names.joined(separator: ", "))", found: key ?? "no choice")
    }
    let supported = PaletteRecipe.supportedBits + [16]
    if let bad = recipe.sorted(by: { $0.key < $1.key }).first(where: { !supported.contains($0.value) }) {
      throw JobError.unusable(
        file: file, expected: "1, 2, 3, 4, 6, 8 or 16 bits for '\(bad.key)'", found: "\(bad.value)")
    }
    return Dictionary(uniqueKeysWithValues: recipe.map { (weight($0), $1) })
  }

  private static func module(_ weight: String) -> String {
    weight.hasSuffix(".weight") ? String(weight.dropLast(7)) : weight
  }

  private static func weight(_ module: String) -> String { module + ".weight" }

  package func write(to path: String) throws {
    try AtomicFile(path: path).write(JSONEncoder.ofResults.encode(self))
  }
}
