internal import Foundation
internal import Generation
internal import Kernels
internal import Pictures

/// An evaluation as an HTML page that needs nothing else: figures, plots, pictures and their differences.
package struct EvaluationPage {
  private let outcome: EvaluateJob.Outcome
  private let rows: [EvaluateJob.Row]

  package init(_ outcome: EvaluateJob.Outcome, _ rows: [EvaluateJob.Row]) {
    self.outcome = outcome
    self.rows = rows
  }

  /// Rows of pictures that are shown at most.
  private static let mostRows = 32
  private static let colours = ["#888", "#c33", "#26a", "#2a6", "#a3a", "#c80", "#066", "#650"]

  package func html() throws -> String {
    // A closing tag inside a prompt must not end the script element.
    let figures = String(decoding: try JSONEncoder.ofResults.encode(outcome), as: UTF8.self)
      .replacingOccurrences(of: "<", with: "\\u003c")
    return HTMLPage(
      title: "Evaluation of \(outcome.reference)",
      style: """
        figure { display: inline-block; vertical-align: top; margin: .2em; font-size: 12px; text-align: center }
        figure img { width: 128px; image-rendering: auto; display: block }
        """,
      body: """
        <p>\(outcome.settings.prompts.count) prompts, \(outcome.settings.seeds.count) seeds, \
        \(outcome.settings.steps) steps of \(outcome.settings.scheduler), guidance \(outcome.settings.guidance);
        reference in \(outcome.referencePrecision), \(outcome.referenceBytes) bytes,
        \(Self.text(outcome.referenceSecondsPerStep, 3)) s a step.
        The row fp16 is the reference with weights and every result rounded to half precision.</p>
        \(table)
        <h2>Error of the network's output by timestep</h2>
        \(errorPlot)
        <h2>Latents along the way</h2>
        \(trajectoryPlot)
        <h2>Size against quality</h2>
        \(sizePlot)
        <h2>Pictures</h2>
        <p>Below each picture its difference from the reference's, four times as strong, from grey.</p>
        \(try pictures)
        <script type="application/json" id="figures">\(figures)</script>
        <p id="status">not run</p>
        <script>
        const figures = JSON.parse(document.getElementById("figures").textContent);
        addEventListener("load", () => {
          const images = [...document.images];
          const broken = images.filter(i => i.naturalWidth === 0).length;
          document.getElementById("status").textContent =
            `${figures.candidates.length} candidates, ${images.length} pictures shown, ${broken} broken`;
        });
        </script>
        """
    ).html
  }

  private var table: String {
    let heads = [
      "", "bytes", "output PSNR", "latents PSNR", "pictures PSNR", "SSIM", "CLIP similarity", "CMMD", "Apple's measure",
      "peak memory", "s a step",
    ]
    let lines = outcome.candidates.map { candidate in
      let figures = candidate.figures
      let cells = [
        HTMLPage.escaped(candidate.name), "\(candidate.bytes)", Self.text(Self.outputPSNR(figures), 2),
        Self.spread(figures.latentPSNR, 2), Self.spread(figures.imagePSNR, 2),
        Self.spread(figures.imageSSIM, 4), figures.clip.map { Self.spread($0.cosine, 4) } ?? "–",
        figures.clip.map { Self.text($0.maximumMeanDiscrepancy, 3) } ?? "–", Self.text(figures.appleMixedBitPSNR, 2),
        candidate.peakMemoryBytes.map { "\($0 / 1_048_576) MiB" } ?? "–",
        Self.text(figures.secondsPerStep, 3),
      ]
      return "<tr data-name=\"\(HTMLPage.escaped(candidate.name))\">"
        + cells.map { "<td>\($0)</td>" }.joined() + "</tr>"
    }
    return "<table id=\"table\"><tr>" + heads.map { "<th>\($0)</th>" }.joined() + "</tr>"
      + lines.joined(separator: "\n") + "</table><p>PSNR in dB; mean ± deviation over prompts and seeds.</p>"
  }

  /// Mean over timesteps, in dB.
  static func outputPSNR(_ figures: QualityEvaluation.Figures) -> Double {
    figures.outputErrors.map(\.psnr).reduce(0, +) / Double(max(1, figures.outputErrors.count))
  }

  private var errorPlot: String {
    plot(horizontal: "timestep", vertical: "mean squared error", isLogarithmic: true) { candidate in
      candidate.figures.outputErrors.map { ($0.timestep, $0.meanSquaredError) }
    }
  }

  private var trajectoryPlot: String {
    plot(horizontal: "step", vertical: "PSNR of the latents, dB") { candidate in
      candidate.figures.trajectoryPSNR.enumerated().map { (Double($0.offset + 1), $0.element.mean) }
    }
  }

  private var sizePlot: String {
    plot(horizontal: "megabytes", vertical: "PSNR of the pictures, dB", isJoined: false) { candidate in
      [(Double(candidate.bytes) / 1e6, candidate.figures.imagePSNR.mean)]
    }
  }

  /// Points of each candidate.
  private func plot(
    horizontal: String, vertical: String, isLogarithmic: Bool = false, isJoined: Bool = true,
    points: (EvaluateJob.Outcome.Candidate) -> [(x: Double, y: Double)]
  ) -> String {
    Plot(
      series: outcome.candidates.enumerated().map { index, candidate in
        Plot.Series(
          name: candidate.name, colour: Self.colours[index % Self.colours.count], points: points(candidate))
      }, horizontal: horizontal, vertical: vertical, isLogarithmic: isLogarithmic, isJoined: isJoined
    ).svg
  }

  private var pictures: String {
    get throws {
      let names = ["reference"] + outcome.candidates.map(\.name)
      return try rows.prefix(Self.mostRows).map { row in
        let shots = try zip(names, row.pictures).map { name, picture in
          let first = try Self.image(picture, name)
          let second = name == "reference" ? "" : try Self.image(picture.difference(from: row.pictures[0]), "")
          return "<figure>\(first)\(second)<figcaption>\(HTMLPage.escaped(name))</figcaption></figure>"
        }
        return "<h3>\(HTMLPage.escaped(row.prompt)), seed \(row.seed)</h3><div>\(shots.joined())</div>"
      }.joined(separator: "\n")
    }
  }

  private static func image(_ picture: Picture, _ name: String) throws -> String {
    let data = try PNGFile.encode(picture).base64EncodedString()
    return "<img alt=\"\(HTMLPage.escaped(name))\" src=\"data:image/png;base64,\(data)\">"
  }

  static func text(_ number: Double, _ digits: Int) -> String {
    number == Decibels.noError ? "equal" : String(format: "%.\(digits)f", number)
  }

  private static func spread(_ spread: Spread, _ digits: Int) -> String {
    "\(text(spread.mean, digits)) ± \(text(spread.deviation, digits))"
  }
}
