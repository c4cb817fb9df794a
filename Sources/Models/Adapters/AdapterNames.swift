internal import Foundation

/// The names of tensors in adapter files: which module of which network, and which factor of its change.
///
/// kohya's sd-scripts, LyCORIS, PEFT and diffusers of 2023 and of today each have their own.
struct AdapterNames {
  /// What a tensor is to its module's change.
  enum Slot: String, CaseIterable, Sendable {
    case down, up, mid, alpha, magnitude
    case hadamard1A = "hada_w1_a", hadamard1B = "hada_w1_b", hadamard2A = "hada_w2_a", hadamard2B = "hada_w2_b"
    case hadamard1Core = "hada_t1", hadamard2Core = "hada_t2"
    case kronecker1 = "lokr_w1", kronecker1A = "lokr_w1_a", kronecker1B = "lokr_w1_b"
    case kronecker2 = "lokr_w2", kronecker2A = "lokr_w2_a", kronecker2B = "lokr_w2_b", kronecker2Core = "lokr_t2"
    case weightDifference, biasDifference
    /// (IA)³: factors of rows or columns, and which.
    case factors, onInput = "on_input"
  }

  /// A tensor's place.
  struct Place {
    /// The module as the file spells it, without the network's prefix.
    let module: String
    let network: Network
    let slot: Slot
    /// Whether dots are underscores, so that the module can only be found by comparing with the model's.
    let isFlattened: Bool
    /// What the file calls the module, for messages.
    let spelling: String
  }

  enum Network: Sendable { case unet, textEncoder, textEncoder2, unknown }

  /// Endings, longer ones first.
  private static let endings: [(String, Slot)] =
    [
      (".lora_down.weight", .down), (".lora_up.weight", .up), (".lora_mid.weight", .mid),
      (".lora_A.default.weight", .down), (".lora_B.default.weight", .up), (".lora_A.weight", .down),
      (".lora_B.weight", .up), (".lora_magnitude_vector.default.weight", .magnitude),
      (".lora_magnitude_vector.weight", .magnitude), (".lora_magnitude_vector.default", .magnitude),
      (".lora_magnitude_vector", .magnitude), (".lora_linear_layer.down.weight", .down),
      (".lora_linear_layer.up.weight", .up), (".lora.down.weight", .down), (".lora.up.weight", .up),
      ("_lora.down.weight", .down), ("_lora.up.weight", .up), (".alpha", .alpha), (".dora_scale", .magnitude),
      (".diff_b", .biasDifference), (".b_norm", .biasDifference), (".diff", .weightDifference),
      (".w_norm", .weightDifference), (".on_input", .onInput),
    ]
    + Slot.allCases.filter { $0.rawValue.hasPrefix("hada_") || $0.rawValue.hasPrefix("lokr_") }.map {
      (".\($0.rawValue)", $0)
    }

  private static let flattened: [(String, Network)] = [
    ("lora_unet_", .unet), ("lora_te1_", .textEncoder), ("lora_te2_", .textEncoder2), ("lora_te_", .textEncoder),
  ]

  private static let dotted: [(String, Network)] = [
    ("unet.", .unet), ("text_encoder_2.", .textEncoder2), ("text_encoder.", .textEncoder),
  ]

  /// Whether a tensor's name is one that adapters have.
  static func isAdapter(_ name: String) -> Bool {
    flattened.contains { name.hasPrefix($0.0) }
      || endings.contains { $0.1 != .alpha && $0.1 != .onInput && name.hasSuffix($0.0) }
  }

  /// - Parameter isFactors: whether a tensor that ends in `.weight` holds the factors of (IA)³.
  /// - Returns: nil for a tensor of an unknown kind.
  static func place(of name: String, isFactors: Bool) -> Place? {
    guard
      let (ending, slot) = endings.first(where: { name.hasSuffix($0.0) }) ?? (isFactors ? (".weight", .factors) : nil),
      name.hasSuffix(ending)
    else { return nil }
    let spelling = String(name.dropLast(ending.count))
    var module = spelling
    if let (prefix, network) = flattened.first(where: { module.hasPrefix($0.0) }) {
      return Place(
        module: String(module.dropFirst(prefix.count)), network: network, slot: slot, isFlattened: true,
        spelling: spelling)
    }
    if module.hasPrefix("base_model.model.") { module = String(module.dropFirst("base_model.model.".count)) }
    var network = module.hasPrefix("text_model.") ? Network.textEncoder : .unknown
    if let (prefix, named) = dotted.first(where: { module.hasPrefix($0.0) }) {
      module = String(module.dropFirst(prefix.count))
      network = named
    }
    return Place(
      module: today(module, isOld: ending.hasPrefix("_lora")), network: network, slot: slot, isFlattened: false,
      spelling: spelling)
  }

  /// A module's name in diffusers and transformers today.
  ///
  /// - Parameter isOld: whether it is one of early 2023, such as `attn1.processor.to_q` or `self_attn.to_q`.
  private static func today(_ module: String, isOld: Bool) -> String {
    guard isOld else { return module }
    var module = module.replacingOccurrences(of: ".processor.", with: ".")
    if module.hasSuffix(".to_out") { module += ".0" }
    guard let found = module.range(of: ".self_attn.") else { return module }
    let names = ["to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"]
    return names[String(module[found.upperBound...])].map { module[..<found.upperBound] + $0 } ?? module
  }
}
