import Foundation
import Kernels
import Layers
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// A ControlNet, and the UNet it steers, against diffusers. Bound 1e-5, as for other networks.
@Suite struct ControlNetTests {
  @Test(
    .enabled(if: References.exists("controlnet")), arguments: References.entries("controlnet"))
  func matchesDiffusers(entry: String) throws {
    let model = entry.replacingOccurrences(of: ".safetensors", with: "")
    let file = try References.safetensors("controlnet/\(entry)")
    let network = try ModelComponent(folder: References.path("models/\(model)/controlnet")).controlNet()
    let (unet, _) = try ModelComponent(folder: References.path("models/\(model)/unet")).unet()
    let sample = try file.tensor("sample").channelsLast()
    let context = try file.tensor("encoder_hidden_states")
    let picture = try file.tensor("picture").channelsLast()
    let timestep = Tensor(repeating: 401, shape: [sample.shape[0]])
    let (residuals, output) = Execution.withoutGradients {
      let residuals = network(sample, timestep: timestep, context: context, picture: picture)
      let output = unet(sample, timestep: timestep, context: context, residuals: residuals)
      return (residuals.map { $0.channelsFirst() }, output.channelsFirst())
    }
    var found = ["out": output]
    for (index, residual) in residuals.dropLast().enumerated() { found["down.\(index)"] = residual }
    found["middle"] = residuals.last
    #expect(file.shape(of: "down.\(residuals.count - 1)") == nil)
    for (name, tensor) in found.sorted(by: { $0.key < $1.key }) {
      let result = ParityCase(
        "controlnet/\(model)/\(name)",
        error: relativeError(tensor.elements, try file.floats(name).elements), bound: 1e-5)
      #expect(result.holds, "\(result)")
    }
  }
}
