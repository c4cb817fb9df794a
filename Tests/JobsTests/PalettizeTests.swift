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
}
