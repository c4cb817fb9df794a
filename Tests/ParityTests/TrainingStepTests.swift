import Foundation
import Kernels
import Layers
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training
import WeightFiles

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
    let (_, store) = try ModelComponent(folder: References.path("models/\(model)/unet")).unet()
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

  /// AdamW steps on one batch; `adamw_b` is the run with an epsilon of 1e-6.
  ///
  /// The first steps of Adam divide each gradient by its own size, so that an element whose true gradient is near zero
  /// may move by the whole rate in either direction (README of the references). Hence three bounds: no element off by
  /// more than 2 · rate · steps; the whole update within 2e-3 of its length, which is what a single one of 250,000
  /// elements amounts to when it moves by the whole rate; and, where nothing has been divided by nearly nothing yet (step 1, or the larger epsilon), 99.9 % of
  /// the elements within 1e-6.
  @Test(arguments: models.flatMap { [($0, "adamw"), ($0, "adamw_b")] })
  func adamWStepsMatchTorch(model: String, run: String) throws {
    let batch = try GoldenBatch(model)
    let (_, store) = try ModelComponent(folder: References.path("models/\(model)/unet")).unet()
    let start = Dictionary(
      uniqueKeysWithValues: store.names.map { ($0, store.buffer($0)?.elements ?? []) })
    let (optimizer, rate) = try optimizer(model, run)
    let moments = Dictionary(
      uniqueKeysWithValues: store.names.map {
        ($0, AdamW.Moments(count: store.shape(of: $0)?.count ?? 0))
      })
    for step in 1...3 {
      let (_, gradients) = try batch.gradients(store)
      for name in store.names {
        optimizer.update(
          try #require(store.buffer(name)), try #require(moments[name]),
          gradient: try #require(gradients[name]), learningRate: rate, step: step)
      }
      let golden = "backward/\(model)/\(run)_step\(step).safetensors"
      guard References.exists(golden) else { continue }
      let comparison = try UpdateComparison(store, start, try References.safetensors(golden))
      let label = "\(run)/\(model)/step\(step)"
      var results = [
        ParityCase(
          "\(label) worst element", error: comparison.worst,
          bound: 2 * Double(rate) * Double(step)),
        ParityCase("\(label) whole update", error: comparison.relativeLength, bound: 2e-3),
      ]
      if step == 1 || run == "adamw_b" {
        results.append(
          ParityCase("\(label) 99.9th percentile", error: comparison.percentile, bound: 1e-6))
      }
      for result in results { #expect(result.holds, "\(result)") }
    }
  }

  private func optimizer(_ model: String, _ run: String) throws -> (AdamW, rate: Float) {
    let info = try #require(try References.json("backward/\(model)/info.json") as? [String: Any])
    let options = try #require(info["\(run)_config"] as? [String: Any])
    let betas = try #require(options["betas"] as? [Double])
    let adamW = AdamW(
      beta1: Float(betas[0]), beta2: Float(betas[1]),
      epsilon: Float(try #require(options["eps"] as? Double)),
      weightDecay: Float(try #require(options["weight_decay"] as? Double)))
    return (adamW, Float(try #require(options["lr"] as? Double)))
  }
}

/// Parameters after some steps against the golden ones.
struct UpdateComparison {
  /// Largest difference of one element.
  let worst: Double
  /// The difference that 99.9 % of the elements stay below.
  let percentile: Double
  /// Length of the difference over the length of the golden update.
  let relativeLength: Double

  init(_ store: ParameterStore, _ start: [String: [Float]], _ golden: SafetensorsFile) throws {
    var differences: [Double] = []
    var update = 0.0
    for name in golden.names {
      let found = try #require(store.buffer(name)).elements
      let expected = try golden.floats(name).elements
      differences += zip(found, expected).map { Double(abs($0 - $1)) }
      update += zip(expected, try #require(start[name])).reduce(0) {
        $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1)
      }
    }
    differences.sort()
    worst = differences.last ?? .infinity
    percentile = differences[Int(Double(differences.count) * 0.999)]
    relativeLength = (differences.reduce(0) { $0 + $1 * $1 } / update).squareRoot()
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
