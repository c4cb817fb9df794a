internal import Foundation
internal import Recipes

extension Report {
  /// `report.html`: the same figures as a page that needs nothing else.
  package var page: String {
    HTMLPage(
      title: recipe.name, style: "pre { background: #f6f6f6; padding: 1em; overflow: auto }",
      body: """
        <table><tr><th></th><th>epsilon-MSE</th><th>above fp32</th><th>PSNR, dB</th>
        <th>bits a weight</th><th>bytes</th></tr>
        \(row("fp32", reference))\(row("post-training", postTraining))\(row("tuned", tuned))</table>
        <p>\(share.prefix(1).uppercased() + share.dropFirst()).
        \(run.steps) steps of \(String(format: "%.3f", run.secondsPerStep)) s,
        palettes \(String(format: "%.1f", 100 * run.clusteringShare)) % of it.
        Package <code>\(HTMLPage.escaped(package.path))</code>, sha256 <code>\(package.sha256)</code>.</p>
        <h2>Error above fp32 by timestep</h2>
        \(plot)
        <h2>Recipe</h2><pre>\(HTMLPage.escaped(String(decoding: recipe.encoded(), as: UTF8.self)))</pre>
        """
    ).html
  }

  private func row(_ name: String, _ variant: Variant) -> String {
    let psnr = variant.psnr.map { String(format: "%.2f", $0) } ?? "–"
    let mse = String(format: "%.6f", variant.epsilonMSE)
    let above = String(format: "%.6f", variant.epsilonMSE - reference.epsilonMSE)
    let bits = String(format: "%.3f", variant.bitsPerWeight)
    return "<tr><td>\(name)</td><td>\(mse)</td><td>\(above)</td><td>\(psnr)</td>"
      + "<td>\(bits)</td><td>\(variant.weightBytes)</td></tr>"
  }

  private var plot: String {
    let variants = [("post-training", postTraining, "#c33"), ("tuned", tuned, "#26a")]
    return Plot(
      series: variants.map { name, variant, colour in
        let above = zip(variant.epsilonMSEByTimestep, reference.epsilonMSEByTimestep).map { $0 - $1 }
        return Plot.Series(
          name: name, colour: colour, points: zip(timesteps, above).map { (x: Double($0), y: $1) })
      }, horizontal: "timestep", vertical: "epsilon-MSE above fp32", isLogarithmic: false, isJoined: true
    ).svg
  }
}
