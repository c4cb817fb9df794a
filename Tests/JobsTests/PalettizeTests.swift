import Foundation
import TestSupport
import Testing

/// `sdtune palettize` as a user calls it.
@Suite struct PalettizeTests {
  private let palettize = ["palettize", "--model", "checkpoints/emoji-sd"]

  private func inspected(_ package: String) throws -> String {
    let result = try Program.run(["inspect", package])
    #expect(result.status == 0, "\(result.errors)")
    return result.output
  }

  /// Three bits need iOS 18's constants: that is the target unless another is asked for.
  @Test func targetFollowsThePalettes() throws {
    let scratch = try ScratchFolder()
    let package = scratch.file("Unet.mlpackage")
    let result = try Program.run(palettize + ["--bits", "3", "--output", package])
    #expect(result.status == 0, "\(result.errors)")
    // That of iOS 18.
    #expect(try inspected(package).contains("specification           9"))
    let refused = try Program.run(
      palettize + ["--bits", "3", "--target", "iOS17", "--output", scratch.file("b.mlpackage")])
    #expect(refused.status == 1 && refused.errors.contains("error: export.target: expected iOS18"), "\(refused.errors)")
  }

  /// The last convolution's 4 channels do not divide into groups of 16, in this model and in every Stable Diffusion: it
  /// has one palette, and the user is told.
  @Test func channelsThatDoNotDivideHaveOnePalette() throws {
    let scratch = try ScratchFolder()
    let package = scratch.file("Unet.mlpackage")
    let result = try Program.run(
      palettize + [
        "--bits", "4", "--set", "clustering.groupSize=16", "--set", "clustering.minimumElements=1000", "--output",
        package,
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      result.errors.contains(
        "warning: weights that do not divide into groups and vectors get one palette: 1 of checkpoints/emoji-sd, "
          + "first 'conv_out.weight'"), "\(result.errors)")
    let verified = try Program.run(["verify", package])
    #expect(verified.status == 0, "\(verified.errors)")
  }

  /// The same bytes, other entries and indices, the same ones every time.
  @Test func calibrates() throws {
    let scratch = try ScratchFolder()
    let few = ["--set", "clustering.calibrationSamples=16", "--set", "clustering.minimumElements=40000"]
    let packages = ["plain", "first", "second"].map { scratch.file("\($0).mlpackage") }
    for (package, options) in zip(packages, [[], ["--calibrate"], ["--calibrate"]]) {
      let result = try Program.run(palettize + ["--bits", "2", "--output", package] + few + options)
      #expect(result.status == 0, "\(result.errors)")
      #expect(options.isEmpty || result.errors.contains("calibrated 100 %"), "\(result.errors)")
    }
    let weights = try packages.map {
      try Data(contentsOf: URL(filePath: $0 + "/Data/com.apple.CoreML/weights/weight.bin"))
    }
    #expect(weights[0] != weights[1] && weights[0].count == weights[1].count && weights[1] == weights[2])
    let verified = try Program.run(["verify", packages[1]])
    #expect(verified.status == 0, "\(verified.errors)")

    let noData = try Program.run(
      palettize + [
        "--bits", "2", "--calibrate", "--data", scratch.file("none.h5"), "--output", scratch.file("c.mlpackage"),
      ])
    #expect(noData.status == 1 && noData.errors.contains("none.h5: cannot be read"), "\(noData.errors)")
  }
}
