import Checkpoints
import Foundation
import Kernels
import Layers
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training

/// Gradients of every parameter and AdamW steps of a whole UNet against torch, for every model of `backward/`.
@Suite struct TrainingStepTests {
  static let models = References.entries("backward").filter {
    References.exists("backward/\($0)/grads.safetensors")
  }

  /// Bound 1e-4 a parameter, 2e-5 for inputs: torch's own worst are 7.6e-6 and 1.7e-6 from double precision.
  ///
  /// Run with and without recomputation, which sums what several blocks add to one gradient in another order.
  @Test(arguments: models)
  func gradientsMatchTorch(model: String) throws {
    let batch = try GoldenBatch(model)
    let (_, store) = try DiffusersFolder.unet(References.path("models/\(model)/unet"))
    let (loss, gradients) = try batch.gradients(store)
    let (_, recomputed) = try Execution.recomputing(true) { try batch.gradients(store) }
    var results = [
      ParityCase(
        "gradients/\(model)/loss", error: abs(Double(loss) / batch.loss - 1), bound: 1e-5)
    ]
    for name in store.names {
      let found = try #require(gradients[name]).elements
      let again = relativeError(try #require(recomputed[name]).elements, found)
      #expect(again < 1e-5, "\(name): recomputed gradient differs by \(again)")
      results.append(
        ParityCase(
          "gradients/\(model)/\(name)",
          error: relativeError(found, try batch.file.floats("grad/\(name)").elements),
          bound: 1e-4))
    }
    for (name, golden) in batch.inputGradients {
      let found = try #require(gradients[name])
      results.append(
        ParityCase(
          "gradients/\(model)/\(name)",
          error: relativeError(found.elements, golden), bound: 2e-5))
    }
    for result in results { #expect(result.holds, "\(result)") }
  }

  /// Three AdamW steps on one batch: 99.9 % of the elements within 1e-6 and none off by more than 2 · rate · steps,
  /// since the first steps divide each gradient by its own size (README of the references).
  @Test(arguments: models)
  func adamWStepsMatchTorch(model: String) throws {
    let batch = try GoldenBatch(model)
    let (_, store) = try DiffusersFolder.unet(References.path("models/\(model)/unet"))
    let info = try #require(try References.json("backward/\(model)/info.json") as? [String: Any])
    let options = try #require(info["adamw_config"] as? [String: Any])
    let betas = try #require(options["betas"] as? [Double])
    let rate = Float(try #require(options["lr"] as? Double))
    let optimizer = AdamW(
      beta1: Float(betas[0]), beta2: Float(betas[1]),
      epsilon: Float(try #require(options["eps"] as? Double)),
      weightDecay: Float(try #require(options["weight_decay"] as? Double)))
    let moments = Dictionary(
      uniqueKeysWithValues: store.names.map {
        ($0, AdamW.Moments(count: store.shape(of: $0)!.count))
      })
    for step in 1...3 {
      let (_, gradients) = try batch.gradients(store)
      for name in store.names {
        optimizer.update(
          try #require(store.buffer(name)), try #require(moments[name]),
          gradient: try #require(gradients[name]), learningRate: rate, step: step)
      }
      let golden = "backward/\(model)/adamw_step\(step).safetensors"
      guard References.exists(golden) else { continue }
      let file = try References.safetensors(golden)
      var differences: [Double] = []
      for name in file.names {
        let found = try #require(store.buffer(name)).elements
        differences += zip(found, try file.floats(name).elements).map { Double(abs($0 - $1)) }
      }
      differences.sort()
      let worst = ParityCase(
        "adamw/\(model)/step\(step) worst element", error: differences.last ?? .infinity,
        bound: 2 * Double(rate) * Double(step))
      let typical = ParityCase(
        "adamw/\(model)/step\(step) 99.9th percentile",
        error: differences[Int(Double(differences.count) * 0.999)], bound: 1e-6)
      #expect(worst.holds && typical.holds)
    }
  }
}

/// The recorded batch of `backward/<model>/grads.safetensors`: inputs, target and goldens.
struct GoldenBatch {
  let file: SafetensorsFile
  let configuration: UNetConfiguration
  let loss: Double
  let inputGradients: [(String, [Float])]

  init(_ model: String) throws {
    file = try References.safetensors("backward/\(model)/grads.safetensors")
    configuration = try UNetConfiguration(folder: References.path("models/\(model)/unet"))
    loss = try file.doubles("loss")[0]
    inputGradients = [
      ("context", try file.floats("grad_input/encoder_hidden_states").elements),
      ("noisy", try file.floats("grad_input/noisy_latents").elements),
    ]
  }

  func gradients(_ store: ParameterStore) throws -> (Float, Gradients) {
    let unet = try UNet(store, configuration)
    let noisy = try file.tensor("in/noisy_latents").leaf(named: "noisy")
    let context = try file.tensor("in/encoder_hidden_states").leaf(named: "context")
    let timesteps = try file.doubles("in/timesteps").map { Float($0) }
    let y = unet(
      noisy.channelsLast(), timestep: Tensor([timesteps.count], timesteps), context: context)
    let loss = y.channelsFirst().meanSquaredError(to: try file.tensor("in/noise"))
    return (loss.scalar, loss.gradients())
  }
}
