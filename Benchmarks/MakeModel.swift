internal import ArgumentParser
internal import Checkpoints
internal import Foundation
internal import Kernels
internal import Layers
internal import StableDiffusion
internal import Tensors
internal import WeightFiles

/// Writes a diffusers folder of full-size shapes and random weights, latents to train on and inputs to run on.
struct MakeModel: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Write a model of random weights, with latents and inputs for it.")

  @Option(help: "Which model's shapes.")
  var size = ModelSize.sd15

  @Option(help: "Samples in the inputs for `sdtune run`.")
  var batch = 2

  @Option(help: "Height and width of the latents, the model's own if not given.")
  var latents: Int?

  @Option(help: "The folder to write.")
  var output: String

  @OptionGroup var options: BenchmarkOutput

  private var side: Int { latents ?? size.latentSide }

  func run() throws {
    try writeUNet()
    for encoder in size.textEncoders {
      try write(encoder)
      try writeTokenizer(encoder.folder.replacingOccurrences(of: "text_encoder", with: "tokenizer"))
    }
    try writeAutoencoder()
    try write(scheduler, to: "scheduler/scheduler_config.json")
    try writeLatents()
    try writeInputs()
    try options.show(["output": output], table: output)
  }

  private func writeUNet() throws {
    try write(size.unet, to: "unet/config.json")
    let trace = TraceParameters()
    _ = try UNet(trace, try UNetConfiguration(folder: output + "/unet"))
    try write(trace, to: "unet/diffusion_pytorch_model.safetensors")
  }

  /// One layer of a small vocabulary: what training needs of it is the width of its states.
  private func write(_ encoder: ModelSize.Encoder) throws {
    let width = encoder.features
    try write(
      [
        "architectures": [encoder.isProjected ? "CLIPTextModelWithProjection" : "CLIPTextModel"], "vocab_size": 64,
        "hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": width / 32,
        "projection_dim": width, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
      ], to: "\(encoder.folder)/config.json")
    let trace = TraceParameters()
    _ = try TextEncoder(trace, try TextEncoderConfiguration(folder: "\(output)/\(encoder.folder)"))
    try write(trace, to: "\(encoder.folder)/model.safetensors")
  }

  /// Letters alone: of 64 tokens, as many as the text encoder knows.
  private func writeTokenizer(_ folder: String) throws {
    let letters = "abcdefghijklmnopqrstuvwxyz".map(String.init)
    let tokens = letters + letters.map { $0 + "</w>" } + ["<|startoftext|>", "<|endoftext|>"]
    try write(Dictionary(uniqueKeysWithValues: zip(tokens, 0...)), to: "\(folder)/vocab.json")
    try write(["model_max_length": 77], to: "\(folder)/tokenizer_config.json")
    try Data("#version: 0.2\n".utf8).write(to: URL(filePath: "\(output)/\(folder)/merges.txt"))
  }

  private func writeAutoencoder() throws {
    try write(
      [
        "_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4,
        "layers_per_block": 2,
        "block_out_channels": [128, 256, 512, 512], "norm_num_groups": 32, "sample_size": 8 * side,
        "scaling_factor": size == .sdxl ? 0.13025 : 0.18215,
        "down_block_types": [String](repeating: "DownEncoderBlock2D", count: 4),
        "up_block_types": [String](repeating: "UpDecoderBlock2D", count: 4),
      ], to: "vae/config.json")
    let trace = TraceParameters()
    let configuration = try AutoencoderConfiguration(folder: output + "/vae")
    _ = try AutoencoderEncoder(trace, configuration)
    _ = try AutoencoderDecoder(trace, configuration)
    try write(trace, to: "vae/diffusion_pytorch_model.safetensors")
  }

  private var scheduler: [String: Any] {
    [
      "_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
      "num_train_timesteps": 1000, "prediction_type": "epsilon", "steps_offset": 1, "set_alpha_to_one": false,
      "skip_prk_steps": true,
    ]
  }

  private func writeLatents() throws {
    let (pictures, tokens) = (4, 77)
    let names = ["input_ids", "input_ids_2"].prefix(size.textEncoders.count)
    var arrays: [String: CheckpointArray] = [:]
    for (index, split) in ["train", "val"].enumerated() {
      let values = RandomWeights.normals(
        pictures * 4 * side * side, deviation: 1, seed: UInt64(index + 1))
      arrays["\(split)/latents"] = CheckpointArray(values, shape: [pictures, 4, side, side])
      for name in names {
        arrays["\(split)/\(name)"] = CheckpointArray(
          shape: [pictures, tokens], .integers((0..<pictures * tokens).map { $0 % 64 }))
      }
    }
    for name in names {
      arrays["empty_\(name)"] = CheckpointArray(
        shape: [tokens], .integers([Int](repeating: 1, count: tokens)))
    }
    try CheckpointFile.write(CheckpointContents(arrays: arrays), to: output + "/latents.h5")
  }

  /// Inputs of a folder's UNet, and of its package.
  private func writeInputs() throws {
    let (width, tokens) = (size.contextFeatures, 77)
    let sample = RandomWeights.normals(batch * 4 * side * side, deviation: 1, seed: 3)
    let states = RandomWeights.normals(batch * tokens * width, deviation: 1, seed: 4)
    let times = Buffer(repeating: 500, count: batch)
    let turned = Tensor([batch, tokens, width], states).permuted(0, 2, 1)
    var folder: [SafetensorsWriter.Tensor] = [
      ("sample", [batch, 4, side, side], sample), ("timestep", [batch], times),
      ("encoder_hidden_states", [batch, tokens, width], states),
    ]
    var package = folder
    package[2] = ("encoder_hidden_states", [batch, width, 1, tokens], turned.buffer)
    if size == .sdxl {
      let more: [SafetensorsWriter.Tensor] = [
        ("text_embeds", [batch, 1280], RandomWeights.normals(batch * 1280, deviation: 1, seed: 5)),
        ("time_ids", [batch, 6], Buffer(repeating: 1024, count: batch * 6)),
      ]
      folder += more
      package += more
    }
    try SafetensorsWriter.write(tensors: folder, to: output + "/inputs.safetensors")
    try SafetensorsWriter.write(tensors: package, to: output + "/package-inputs.safetensors")
  }

  private func write(_ json: [String: Any], to name: String) throws {
    let url = URL(filePath: "\(output)/\(name)")
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try JSONSerialization.data(withJSONObject: json, options: [.prettyPrinted, .sortedKeys]).write(to: url)
  }

  private func write(_ trace: TraceParameters, to name: String) throws {
    let shapes = trace.shapes
    let tensors = shapes.keys.sorted().enumerated().map { index, name in
      (name, shapes[name]?.axes ?? [], RandomWeights.weight(name, shapes[name] ?? [], seed: UInt64(index + 16)))
    }
    try SafetensorsWriter.write(tensors: tensors, precision: .float16, to: "\(output)/\(name)")
  }
}
