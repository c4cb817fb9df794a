import Clustering
import Foundation
import Kernels
import Layers
import Models
import Recipes
import StableDiffusion
import Tensors
import Testing
import Training

/// Palettes without training, measured on the bundled model.
@Suite(.serialized) struct CalibrationTests {
  private var repository: URL {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  }

  private func recipe(_ clustering: String, guided: Bool = false) throws -> Recipe {
    let json = """
      {"name": "calibrated", "model": "checkpoints/emoji-sd", "data": "checkpoints/emoji-sd/latents.h5",
       "clustering": {\(clustering)}, "training": {"steps": 0, "batchSize": 8\(guided ? ", \"guidance\": {\"share\": 1}" : "")},
       "export": {"target": "iOS18"}}
      """
    return try JSONDecoder().decode(Recipe.self, from: Data(json.utf8))
  }

  /// The mean squared distance of answers to those of full precision, on pictures that no calibration saw.
  private func error(_ calibrated: [String: PalettizedTensor], _ recipe: Recipe, _ inputs: RunInputs) throws -> Double {
    let hard = try HardWeights(postTraining: inputs.weights, recipe.clustering, calibrated: calibrated)
    let student = try UNet(hard.store(origin: "hard"), inputs.unet.configuration)
    let batch = try inputs.batches.batch(of: 1000)
    let text = inputs.trainingStates[batch.prompts]
    return Execution.withoutGradients {
      let (found, expected) = (
        student(batch.noisy, timestep: batch.timesteps, text).buffer,
        inputs.unet(batch.noisy, timestep: batch.timesteps, text).buffer
      )
      return Elementwise.sumOfSquaredDifferences(found, expected) / Double(found.count)
    }
  }

  /// Sixty-four pictures leave less than a quarter of what the nearest entries err, in every form of palette.
  @Test(arguments: [#""bits": 2"#, #""bits": 4, "axis": 1, "groupSize": 8"#, #""bits": 3, "channelScale": true"#])
  func answersAreNearer(clustering: String) throws {
    let recipe = try recipe(clustering + #", "calibrationSamples": 64, "start": "calibrated""#)
    let inputs = try RunInputs(recipe, folder: repository)
    let calibrated = try Calibration(recipe, inputs)(inputs.weights.names)
    #expect(calibrated.count == 105)
    let (near, chosen) = (try error([:], recipe, inputs), try error(calibrated, recipe, inputs))
    #expect(chosen < near / 4, "\(clustering): \(chosen) of \(near)")
    if clustering == #""bits": 2"# {
      #expect(try Calibration(recipe, inputs)(inputs.weights.names) == calibrated, "the same pictures, other palettes")
    }
  }

  /// Guided answers see each picture twice; vectors are not calibrated.
  @Test func guidedAnswersAndVectors() throws {
    let recipe = try recipe(
      #"""
      "bits": 2, "calibrationSamples": 32, "start": "calibrated",
      "layers": [{"match": "mid_block.resnets.0.conv1.weight", "vector": 2}]
      """#, guided: true)
    let inputs = try RunInputs(recipe, folder: repository)
    let calibrated = try Calibration(recipe, inputs)(inputs.weights.names)
    #expect(calibrated.count == 104 && calibrated["mid_block.resnets.0.conv1.weight"] == nil)
    #expect(try error(calibrated, recipe, inputs) < error([:], recipe, inputs) / 3)
  }

  @Test func stopsWhenAsked() throws {
    let recipe = try recipe(#""bits": 2, "start": "calibrated""#)
    let inputs = try RunInputs(recipe, folder: repository)
    #expect(throws: TrainingError.self) {
      try Calibration(recipe, inputs)(inputs.weights.names, isInterrupted: { true })
    }
  }
}
