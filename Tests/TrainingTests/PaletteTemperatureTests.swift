import Clustering
import Foundation
import Kernels
import Recipes
import Tensors
import Testing
import Training

/// How soft the palettes of layers are that have other bits than the recipe.
@Suite struct PaletteTemperatureTests {
  private func recipe(_ clustering: String) throws -> ClusteringRecipe {
    try JSONDecoder().decode(ClusteringRecipe.self, from: Data(clustering.utf8))
  }

  /// What weights lose to their nearest entries after some soft steps, 10 log₁₀(Σw² / Σ(w − ŵ)²) in dB.
  private func signalToNoise(bits: Int, _ recipe: ClusteringRecipe) throws -> Double {
    var random = CounterGenerator(seed: 1, stream: 0, step: 0)
    let form = PaletteForm(bits: bits)
    let weights = Buffer(random.normals(64 * 64))
    let elements = PaletteElements(weights, form, try form.layout(of: [64, 64]), scale: nil)
    func palette(_ table: [Float], _ phase: TrainingPhase) throws -> StepPalette {
      StepPalette(
        weights: weights, elements: elements, clustering: try StepPalette.Clustering(elements, table, recipe, phase),
        keepsZeros: false, learnsEntries: false)
    }
    var table = try elements.optimalTable()
    for _ in 0..<20 { table = try palette(table, .soft(temperature: 0.02)).nextCentroids(after: table) }
    let hard = try palette(table, .hard).layerWeights()
    return Decibels.ratio(
      Elementwise.sumOfSquares(weights), toError: Elementwise.sumOfSquaredDifferences(weights, hard))
  }

  /// Of 8 bits for normal weights some 43 dB; at the temperature of 4 bits their entries run together.
  @Test func finePalettesKeepTheirEntries() throws {
    let fine = try signalToNoise(bits: 8, recipe(#"{"bits": 4}"#))
    let merged = try signalToNoise(bits: 8, recipe(#"{"bits": 8}"#))
    #expect(fine > 40 && merged < fine - 3, "\(fine) and \(merged) dB")
  }
}
