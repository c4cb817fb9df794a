package import Foundation
package import Recipes
internal import Training

/// `report.json`: what a run reached, on the exported package.
package struct Report: Codable, Sendable {
  /// One way to store the weights.
  package struct Variant: Codable, Sendable {
    /// Mean over validation pictures and timesteps.
    package var epsilonMSE: Double
    package var epsilonMSEByTimestep: [Double]
    /// Against the full-precision output, in dB, peak of the reference; nil for the reference itself.
    package var psnr: Double?
    /// All weights, tables included.
    package var bitsPerWeight: Double
    package var weightBytes: Int
    /// The same network with its palettes still soft; only of the tuned one.
    package var softEpsilonMSE: Double?
  }

  package struct Run: Codable, Sendable {
    package var steps: Int
    /// Of training, in the process that ended it.
    package var seconds: Double
    package var secondsPerStep: Double
    /// Palettes' share of the step's time, 0 to 1.
    package var clusteringShare: Double
    package var peakMemoryBytes: Int
    package var threads: Int
  }

  package struct Package: Codable, Sendable {
    package var path: String
    package var sha256: String
    package var bytes: Int
    /// Of one call of the package on this machine.
    package var secondsPerCall: Double
  }

  package var reference: Variant
  package var postTraining: Variant
  package var tuned: Variant
  /// What of the loss of post-training palettes is left: (tuned − reference) / (post-training − reference).
  package var shareOfPostTrainingLoss: Double
  package var timesteps: [Int]
  package var run: Run
  package var recipe: Recipe
  package var package: Package

  package func encoded() throws -> Data {
    try JSONEncoder.ofResults.encode(self)
  }

  /// The figures as a table for the terminal.
  package var table: String {
    let rows = [
      ("fp32", reference), ("post-training", postTraining), ("tuned", tuned),
    ]
    var lines = [
      "                 epsilon-MSE   above fp32   PSNR (dB)   bits/weight        bytes"
    ]
    for (name, variant) in rows {
      let psnr = variant.psnr.map { String(format: "%9.2f", $0) } ?? "        –"
      lines.append(
        name.padding(toLength: 15, withPad: " ", startingAt: 0)
          + String(
            format: "  %11.6f  %11.6f   ", variant.epsilonMSE,
            variant.epsilonMSE - reference.epsilonMSE) + psnr
          + String(format: "   %11.3f %12ld", variant.bitsPerWeight, variant.weightBytes))
    }
    lines.append(
      String(
        format: "%@; %d steps, %.3f s a step, palettes %.1f %% of it, peak memory %.2f GiB", share as NSString,
        run.steps,
        run.secondsPerStep, 100 * run.clusteringShare,
        Double(run.peakMemoryBytes) / 1_073_741_824))
    return lines.joined(separator: "\n")
  }

  /// In words; a share of a vanishing loss would say nothing.
  var share: String {
    postTraining.epsilonMSE - reference.epsilonMSE > 1e-4 * reference.epsilonMSE
      ? String(format: "left of the post-training loss: %.1f %%", 100 * shareOfPostTrainingLoss)
      : "post-training palettes lose nothing"
  }
}
