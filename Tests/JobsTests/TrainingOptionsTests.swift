import Foundation
import TestSupport
import Testing

/// What a recipe can ask of training beside the defaults: each changes the run, and repeats bit for bit.
@Suite(.serialized) struct TrainingOptionsTests {
  static let options: [[String]] = [
    ["training.timesteps={\"distribution\":\"beta\",\"alpha\":3}"], ["training.timesteps.distribution=error"],
    ["training.featureWeight=0.1"], ["clustering.start=fisher"], ["training.minimumSNR=5"],
    ["training.latents=teacher", "training.teacherPictures=4", "training.teacherSteps=3"],
    ["training.loss=diffusion", "training.featureWeight=0.01", "training.recompute=true"],
    ["training.shift=2"], ["training.signalExponent=0.5"], ["training.blockShare=0.5"],
    ["clustering.vector=2", "export.target=iOS18"], ["training.loss=mixture", "training.distillationShare=0.3"],
    ["training.order=epochs"],
  ]

  private func losses(_ settings: [String], in folder: String) throws -> [Double] {
    let quick = ["training.steps=3", "evaluation.timesteps=[500]", "evaluation.pictures=2"]
    let result = try Program.run(
      ["--recipe", "recipes/smoke.json", "--output", folder] + (quick + settings).flatMap { ["--set", $0] })
    #expect(result.status == 0, "\(result.errors)")
    let log = try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8)
    return try log.split(separator: "\n").compactMap { line in
      let line = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return line?["loss"] as? Double
    }
  }

  @Test func optionsChangeTheRunAndRepeat() throws {
    let scratch = try ScratchFolder()
    let plain = try losses([], in: scratch.file("plain"))
    for (index, settings) in Self.options.enumerated() {
      let first = try losses(settings, in: scratch.file("first\(index)"))
      let second = try losses(settings, in: scratch.file("second\(index)"))
      #expect(first == second && first != plain, "\(settings): \(first)")
      #expect(first.allSatisfy { $0.isFinite && $0 > 0 && $0 < 10 }, "\(settings): \(first)")
    }
  }

  @Test func teachersLatentsAreKept() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let settings = ["training.latents=teacher", "training.teacherPictures=20", "training.teacherSteps=2"]
    func dates() throws -> [String: Date] {
      let kept = folder + "/teacher-latents"
      let names = try FileManager.default.contentsOfDirectory(atPath: kept)
      return try Dictionary(
        uniqueKeysWithValues: names.map {
          ($0, try FileManager.default.attributesOfItem(atPath: kept + "/" + $0)[.modificationDate] as? Date ?? .now)
        })
    }
    let first = try losses(settings, in: folder)
    let made = try dates()
    #expect(made.keys.sorted() == ["part-000000.safetensors", "part-000001.safetensors"])
    // A second batch that was never finished is made again, to the same bits.
    try FileManager.default.removeItem(atPath: folder + "/teacher-latents/part-000001.safetensors")
    #expect(try losses(settings, in: folder) == first)
    #expect(try dates()["part-000000.safetensors"] == made["part-000000.safetensors"])
    // Another seed makes others.
    #expect(try losses(settings + ["seed=21"], in: folder) != first)
    #expect(try dates()["part-000000.safetensors"] != made["part-000000.safetensors"])
  }
}
