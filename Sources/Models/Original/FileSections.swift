internal import WeightFiles

/// Which networks a single file holds, by the names of its tensors, and under which names.
struct FileSections {
  /// A network's tensors.
  struct Section {
    let views: OriginalViews
    let prefix: String
    /// Text encoders: whether OpenCLIP wrote it.
    var isOpenCLIP = false
    /// Tensors of the network that Stable Diffusion does not use: of SD 2 the last layer.
    var idle: Set<String> = []
  }

  private(set) var sections: [ModelPart: Section] = [:]
  /// Tensors that belong to no network and to no known companion.
  private(set) var unknown: [String] = []

  /// - Throws: ``ModelError`` if the file is an adapter, a ControlNet, another kind of model, or nothing known.
  init(_ source: any WeightSource) throws(ModelError) {
    let names = source.names
    let known = Set(names)
    try Self.refuseOthers(names, path: source.origin)
    if let prefix = Self.prefix(
      of: "input_blocks.0.0.weight", in: names, among: ["model.diffusion_model.", "", "model."])
    {
      sections[.unet] = Section(views: OriginalViews(unet: prefix, in: names), prefix: prefix)
    } else if let prefix = ["", "unet.", "model.diffusion_model."].first(where: { prefix in
      known.contains(prefix + "conv_in.weight") && names.contains { $0.hasPrefix(prefix + "down_blocks.") }
    }) {
      let own = names.filter { $0.hasPrefix(prefix) && (!prefix.isEmpty || Self.isDiffusersUNet($0)) }
      sections[.unet] = Section(views: OriginalViews(prefix: prefix, in: own), prefix: prefix)
    }
    sections[.vae] = Self.autoencoder(source)
    addTextEncoders(source)
    guard !sections.isEmpty else {
      throw .notAModel(
        path: source.origin, expected: "a Stable Diffusion model's UNet, VAE or text encoder",
        found: names.isEmpty ? "no tensors" : "\(names.count) tensors, first '\(names[0])'")
    }
    let used = Set(sections.values.flatMap { $0.views.views.values.map(\.name) })
    let prefixes = sections.values.map(\.prefix).filter { !$0.isEmpty }
    unknown = names.filter { name in
      !used.contains(name) && !Self.isCompanion(name) && !prefixes.contains { name.hasPrefix($0) }
    }
  }

  /// What does not belong to the network of a section, by the file's names.
  func unused(_ part: ModelPart, in source: any WeightSource) -> [String] {
    guard let section = sections[part], !section.prefix.isEmpty else { return [] }
    let used = Set(section.views.views.values.map(\.name))
    return source.names.filter { name in
      name.hasPrefix(section.prefix) && !used.contains(name) && !Self.isCompanion(name) && !section.idle.contains(name)
        && !sections.contains {
          $0.key != part && $0.value.prefix.count > section.prefix.count && name.hasPrefix($0.value.prefix)
        }
    }
  }

  private static func refuseOthers(_ names: [String], path: String) throws(ModelError) {
    let kinds: [(mark: (String) -> Bool, what: String)] = [
      ({ $0.hasPrefix("control_model.") || $0.contains("controlnet_cond_embedding.") }, "a ControlNet"),
      ({ $0.hasPrefix("double_blocks.") || $0.contains(".double_blocks.") }, "a Flux model"),
      ({ $0.contains("joint_blocks.") }, "a Stable Diffusion 3 model"),
      (
        { $0.hasPrefix("string_to_param") || $0 == "emb_params" || $0 == "clip_g" },
        "an embedding: give it with --embedding"
      ),
    ]
    for kind in kinds {
      guard let name = names.first(where: kind.mark) else { continue }
      throw .notAModel(
        path: path, expected: "a Stable Diffusion 1, 2 or XL model", found: "\(kind.what), with '\(name)'")
    }
    guard names.contains(where: { $0.hasSuffix("conv_in.weight") || $0.contains("input_blocks.0.") }) == false,
      let name = names.first(where: { AdapterNames.isAdapter($0) })
    else { return }
    throw .notAModel(
      path: path, expected: "a Stable Diffusion model",
      found: "an adapter (LoRA), with '\(name)': give it with --lora beside a model")
  }

  private static func prefix(of tensor: String, in names: [String], among prefixes: [String]) -> String? {
    let known = Set(names)
    return prefixes.first { known.contains($0 + tensor) }
  }

  private static func isDiffusersUNet(_ name: String) -> Bool {
    [
      "conv_in.", "conv_out.", "conv_norm_out.", "time_embedding.", "add_embedding.", "down_blocks.", "mid_block.",
      "up_blocks.",
    ].contains { name.hasPrefix($0) }
  }

  private static func autoencoder(_ source: any WeightSource) -> Section? {
    let names = source.names
    for prefix in ["first_stage_model.", "", "vae."] {
      if names.contains(where: { $0.hasPrefix(prefix + "decoder.up.") || $0.hasPrefix(prefix + "encoder.down.") }) {
        return Section(views: OriginalViews(autoencoder: prefix, in: source), prefix: prefix)
      }
      if names.contains(where: { $0.hasPrefix(prefix + "decoder.up_blocks.") }) {
        let own = names.filter { name in
          ["encoder.", "decoder.", "quant_conv.", "post_quant_conv."].contains { name.hasPrefix(prefix + $0) }
        }
        return Section(views: OriginalViews(prefix: prefix, in: own), prefix: prefix)
      }
    }
    return nil
  }

  private mutating func addTextEncoders(_ source: any WeightSource) {
    let names = source.names
    func has(_ prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }
    func clip(_ prefix: String) -> Section? {
      if source.contains(prefix + "text_model.embeddings.token_embedding.weight") {
        let own = names.filter { $0.hasPrefix(prefix) }
        return Section(views: OriginalViews(prefix: prefix, in: own), prefix: prefix)
      }
      guard source.contains(prefix + "embeddings.token_embedding.weight") else { return nil }
      return Section(views: OriginalViews(prefix: prefix, inserting: "text_model.", in: names), prefix: prefix)
    }
    func openCLIP(_ prefix: String, isSecond: Bool) -> Section? {
      guard source.contains(prefix + "token_embedding.weight") else { return nil }
      let views = OriginalViews(openCLIP: prefix, in: source, dropsLast: !isSecond, keepsProjection: isSecond)
      let last =
        source.names.compactMap { name -> Int? in
          guard name.hasPrefix(prefix + "transformer.resblocks.") else { return nil }
          return Int(name.dropFirst((prefix + "transformer.resblocks.").count).prefix { $0 != "." })
        }.max() ?? 0
      let idle = isSecond ? [] : names.filter { $0.hasPrefix("\(prefix)transformer.resblocks.\(last).") }
      return Section(views: views, prefix: prefix, isOpenCLIP: true, idle: Set(idle))
    }
    sections[.textEncoder] =
      clip("cond_stage_model.transformer.") ?? openCLIP("cond_stage_model.model.", isSecond: false)
      ?? clip("conditioner.embedders.0.transformer.") ?? clip("text_encoder.")
    sections[.textEncoder2] = openCLIP("conditioner.embedders.1.model.", isSecond: true) ?? clip("text_encoder_2.")
    if sections[.textEncoder2] == nil, sections[.textEncoder] == nil {
      // Alone it is a refiner's, but of SD 2's width it is SD 2's.
      let prefix = "conditioner.embedders.0.model."
      let isNarrow = source.shape(of: prefix + "token_embedding.weight")?.last == 1024
      sections[isNarrow ? .textEncoder : .textEncoder2] = openCLIP(prefix, isSecond: !isNarrow)
    }
  }

  private static let companions = [
    "betas", "alphas_cumprod", "sqrt_", "log_one_minus_alphas_cumprod", "posterior_", "logvar", "denoiser.",
    "model_ema.", "loss.", "global_step", "v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.",
  ]

  /// Constants of the training code, averages of weights beside them, and numbers of positions.
  private static func isCompanion(_ name: String) -> Bool {
    companions.contains { name.hasPrefix($0) } || name.hasSuffix("position_ids") || name.hasSuffix("logit_scale")
      || name.contains(".text_projection") || name.contains(".loss.") || name.contains(".model_ema.")
  }
}
