internal import Foundation
internal import Recipes

extension Report {
  /// `report.html`: the same figures as a page that needs nothing else.
  package var page: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>\(recipe.name)</title>
    <style>
    body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 54em; color: #222 }
    table { border-collapse: collapse; margin: 1em 0 }
    td, th { padding: .3em .9em; text-align: right; border-bottom: 1px solid #ddd }
    td:first-child, th:first-child { text-align: left }
    pre { background: #f6f6f6; padding: 1em; overflow: auto }
    </style></head><body>
    <h1>\(recipe.name)</h1>
    <table><tr><th></th><th>epsilon-MSE</th><th>above fp32</th><th>PSNR, dB</th>
    <th>bits a weight</th><th>bytes</th></tr>
    \(row("fp32", reference))\(row("post-training", postTraining))\(row("tuned", tuned))</table>
    <p>\(share.prefix(1).uppercased() + share.dropFirst()).
    \(run.steps) steps of \(String(format: "%.3f", run.secondsPerStep)) s,
    palettes \(String(format: "%.1f", 100 * run.clusteringShare)) % of it.
    Package <code>\(escaped(package.path))</code>, sha256 <code>\(package.sha256)</code>.</p>
    <h2>Error above fp32 by timestep</h2>
    \(plot)
    <h2>Recipe</h2><pre>\(escaped(String(decoding: recipe.encoded(), as: UTF8.self)))</pre>
    </body></html>
    """
  }

  private func row(_ name: String, _ variant: Variant) -> String {
    let psnr = variant.psnr.map { String(format: "%.2f", $0) } ?? "–"
    let mse = String(format: "%.6f", variant.epsilonMSE)
    let above = String(format: "%.6f", variant.epsilonMSE - reference.epsilonMSE)
    let bits = String(format: "%.3f", variant.bitsPerWeight)
    return "<tr><td>\(name)</td><td>\(mse)</td><td>\(above)</td><td>\(psnr)</td>"
      + "<td>\(bits)</td><td>\(variant.weightBytes)</td></tr>"
  }

  /// Two lines over the timesteps, as SVG.
  private var plot: String {
    let variants = [("post-training", postTraining, "#c33"), ("tuned", tuned, "#26a")]
    let curves = variants.map { _, variant, _ in
      zip(variant.epsilonMSEByTimestep, reference.epsilonMSEByTimestep).map { $0 - $1 }
    }
    let top = max(1e-12, curves.joined().max() ?? 0)
    let bottom = min(0, curves.joined().min() ?? 0)
    let lines = zip(curves, variants).map { curve, variant in
      let points = zip(timesteps, curve).map { step, value in
        String(
          format: "%.1f,%.1f", 40 + Double(step) * 0.6, 190 - 170 * (value - bottom) / (top - bottom))
      }
      return "<polyline fill='none' stroke='\(variant.2)' stroke-width='2' points='"
        + points.joined(separator: " ") + "'/>"
    }
    let legend = variants.enumerated().map { index, variant in
      "<text x='480' y='\(24 + 18 * index)' fill='\(variant.2)'>\(variant.0)</text>"
    }
    return "<svg viewBox='0 0 660 215' width='660' height='215' font-size='13'>"
      + "<line x1='40' y1='190' x2='640' y2='190' stroke='#999'/>"
      + "<text x='40' y='208'>0</text><text x='600' y='208'>timestep</text>"
      + String(format: "<text x='0' y='24'>%.2g</text>", top)
      + lines.joined() + legend.joined() + "</svg>"
  }

  private func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }
}
