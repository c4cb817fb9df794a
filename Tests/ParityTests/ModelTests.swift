import Foundation
import Kernels
import Layers
import StableDiffusion
import Tensors
import TestSupport
import Testing
import WeightFiles

/// Whole networks against diffusers and transformers, for every model of `forward/` that the engine has.
@Suite struct ModelTests {
  /// Bound 1e-5: torch in fp32 lies 1e-6 from double precision, summed in another order.
  @Test(arguments: References.entries("forward"))
  func unetMatchesDiffusers(model: String) throws {
    guard References.exists("forward/\(model)/unet.safetensors") else { return }
    let file = try References.safetensors("forward/\(model)/unet.safetensors")
    let (unet, _) = try ModelComponent(folder: References.path("models/\(model)/unet")).unet()
    let sample = try file.tensor("sample").channelsLast()
    let context = try file.tensor("encoder_hidden_states")
    var addition: UNet.Addition?
    if file.shape(of: "text_embeds") != nil {
      addition = UNet.Addition(
        textEmbeddings: try file.tensor("text_embeds"),
        timeIdentifiers: try file.tensor("time_ids"))
    }
    var index = 0
    while file.shape(of: "t\(index).timestep") != nil {
      let timesteps = try file.doubles("t\(index).timestep").map { Float($0) }
      let y = Execution.withoutGradients {
        unet(
          sample, timestep: Tensor([timesteps.count], timesteps), context: context,
          addition: addition)
      }
      let golden = try file.floats("t\(index).out").elements
      let result = ParityCase(
        "unet/\(model)/t\(index)", error: relativeError(y.channelsFirst().elements, golden),
        bound: 1e-5)
      #expect(result.holds, "\(result)")
      index += 1
    }
    #expect(index > 0)
  }

  /// Bound 5e-6: torch in fp32 lies 6e-7 from double precision.
  @Test(arguments: References.entries("forward"))
  func textEncodersMatchTransformers(model: String) throws {
    for encoder in ["text_encoder", "text_encoder_2"]
    where References.exists("forward/\(model)/\(encoder).safetensors") {
      let file = try References.safetensors("forward/\(model)/\(encoder).safetensors")
      let (text, _) = try ModelComponent(folder: References.path("models/\(model)/\(encoder)")).textEncoder()
      let ids = try file.integers("input_ids")
      let length = try #require(file.shape(of: "input_ids")).last ?? 1
      let rows = stride(from: 0, to: ids.count, by: length).map { Array(ids[$0..<$0 + length]) }
      let output = Execution.withoutGradients { text(rows) }
      var found = ["last_hidden_state": output.lastHiddenState, "pooler_output": output.pooled]
      for (index, state) in output.hiddenStates.enumerated() {
        found["hidden_states.\(index)"] = state
      }
      found["penultimate"] = output.hiddenStates[output.hiddenStates.count - 2]
      found["text_embeds"] = output.embeddings
      for (name, tensor) in found.sorted(by: { $0.key < $1.key })
      where file.shape(of: name) != nil {
        let result = ParityCase(
          "\(encoder)/\(model)/\(name)",
          error: relativeError(tensor.elements, try file.floats(name).elements), bound: 5e-6)
        #expect(result.holds, "\(result)")
      }
    }
  }
}

/// The VAE against diffusers. Bound 1e-5: torch in fp32 lies 1.2e-6 from double precision.
@Suite struct AutoencoderTests {
  @Test(arguments: References.entries("forward"))
  func encoderAndDecoderMatchDiffusers(model: String) throws {
    guard References.exists("forward/\(model)/vae.safetensors") else { return }
    let file = try References.safetensors("forward/\(model)/vae.safetensors")
    var folders = ["models/\(model)/vae"]
    // Copies of a model's VAE under older names lie beside the models.
    let own = try WeightFolder(path: References.path(folders[0]))
    for name in ["vae-legacy-linear", "vae-legacy-conv1x1"] where References.exists("models/legacy-names/\(name)") {
      let copy = try WeightFolder(path: References.path("models/legacy-names/\(name)"))
      let weight = "encoder.conv_in.weight"
      if try copy.floats(weight).elements == own.floats(weight).elements {
        folders.append("models/legacy-names/\(name)")
      }
    }
    for folder in folders {
      let (encoder, decoder) = try ModelComponent(folder: References.path(folder)).autoencoder()
      let image = try file.tensor("image").channelsLast()
      let latent = try file.tensor("latent").channelsLast()
      let (moments, decoded) = Execution.withoutGradients {
        (encoder(image).channelsFirst(), decoder(latent).channelsFirst())
      }
      for (name, tensor) in [("encode.moments", moments), ("decode.image", decoded)] {
        let result = ParityCase(
          "\(folder)/\(name)",
          error: relativeError(tensor.elements, try file.floats(name).elements), bound: 1e-5)
        #expect(result.holds, "\(result)")
      }
    }
  }
}

extension SafetensorsFile {
  /// A tensor of floats by name.
  func tensor(_ name: String) throws -> Tensor {
    Tensor(Shape(try #require(shape(of: name))), try floats(name))
  }
}
