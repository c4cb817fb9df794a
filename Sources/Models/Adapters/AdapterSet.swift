internal import Foundation
internal import StableDiffusion
internal import WeightFiles

/// The adapters that are put on a model, each module matched with the weight it changes.
struct AdapterSet: Sendable {
  private var steps: [ModelPart: [String: [AdaptedWeights.Step]]] = [:]
  private let files: [String]
  private let notes: [String]
  /// What each adapter changes, for a person to read.
  private(set) var lines: [String] = []

  /// - Throws: ``ModelError`` if a module fits no weight, or does not fit it.
  init(_ adapters: [ModelAdditions.Adapter], for layout: any ModelLayout) throws {
    files = adapters.map(\.path)
    notes = adapters.map { "adapter \($0.path.split(separator: "/").last ?? "") at \($0.strength)" }
    guard !adapters.isEmpty else { return }
    let targets = try AdapterTargets(layout)
    for adapter in adapters {
      guard adapter.strength.isFinite, abs(adapter.strength) <= 100 else {
        throw ModelError.adapter(
          path: adapter.path, item: "strength", expected: "−100 to 100", found: "\(adapter.strength)")
      }
      try add(AdapterFile(adapter.path), adapter.strength, targets)
    }
  }

  private mutating func add(_ file: AdapterFile, _ strength: Double, _ targets: AdapterTargets) throws {
    var changed: [ModelPart: Int] = [:]
    var unmatched: [String] = []
    var taken: [AdapterTargets.Target: Bool] = [:]
    // One module under both of its names counts once, under diffusers': ComfyUI's rule.
    let found = file.modules.map { ($0, targets.target(of: $0.place)) }
    for (_, target) in found { if let target, target.isOriginal == false { taken[target.target] = true } }
    for (module, match) in found {
      guard let match else {
        unmatched.append(module.place.spelling)
        continue
      }
      if match.isOriginal, taken[match.target] == true { continue }
      let (part, name) = (match.target.part, match.target.module)
      guard let shape = targets.shape(match.target, "weight") else { continue }
      let reading = AdapterReading(module, in: file, shape: shape, isInput: part == .unet && name == "conv_in")
      do {
        if let change = try reading.weightChange() {
          steps[part, default: [:]][name + ".weight", default: []].append((change, strength))
        }
        if let change = try reading.biasChange(targets.shape(match.target, "bias")) {
          steps[part, default: [:]][name + ".bias", default: []].append((change, strength))
        }
      } catch let error as ModelError {
        throw targets.explained(error, file)
      }
      changed[part, default: 0] += 1
    }
    if let first = unmatched.first {
      throw targets.explained(
        .adapter(
          path: file.path, item: first, expected: "modules of the model",
          found: "\(unmatched.count) of \(file.modules.count) that it does not have"
            + (unmatched.count > 1 ? ", then \(unmatched.dropFirst().prefix(9).joined(separator: ", "))" : "")), file)
    }
    let counts = changed.sorted { $0.key.rawValue < $1.key.rawValue }.map {
      "\($0.value) modules of \($0.key.rawValue)"
    }
    lines.append("\(file.path): changes \(counts.joined(separator: ", ")) at strength \(strength)")
  }

  /// A component with the changes of its weights.
  func merged(_ component: ModelComponent, _ part: ModelPart) throws -> ModelComponent {
    guard let own = steps[part] else { return component }
    return try component.replacing(weights: AdaptedWeights(component.weights, own, files: files, notes: notes))
  }
}

/// The modules of a model that adapters can change, under every name that adapters call them by.
struct AdapterTargets {
  struct Target: Hashable {
    let part: ModelPart
    /// Under diffusers' or transformers' name.
    let module: String
  }

  private var components: [ModelPart: any WeightSource] = [:]
  private var dotted: [Target: Bool] = [:]
  /// With underscores instead of dots.
  private var flattened: [ModelPart: [String: String]] = [:]
  private var originals: [String: String] = [:]
  private let path: String

  init(_ layout: any ModelLayout) throws {
    var path = ""
    for part in [ModelPart.unet, .textEncoder, .textEncoder2] where layout.parts.contains(part) {
      let component = try layout.component(part)
      components[part] = component.weights
      path = component.origin
      let modules = component.weights.names.filter { $0.hasSuffix(".weight") }.map {
        String($0.dropLast(".weight".count))
      }
      for module in modules {
        dotted[Target(part: part, module: module)] = true
        flattened[part, default: [:]][module.replacingOccurrences(of: ".", with: "_")] = module
      }
      guard part == .unet, let unet = try? UNetConfiguration(component.configuration) else { continue }
      let table = Self.originalNames(unet)
      for module in modules {
        guard let original = table.original(module) else { continue }
        originals[original.replacingOccurrences(of: ".", with: "_")] = module
      }
    }
    self.path = path
  }

  private static func originalNames(_ unet: UNetConfiguration) -> NameTable {
    let layers = unet.layersPerBlock.first ?? 2
    let attentions = unet.upBlocks.map { $0 == .crossAttentionUp }
    return OriginalNames.unet(levels: unet.blockChannels.count, layers: layers) { number in
      let level = number / (layers + 1)
      return attentions.indices.contains(level) && attentions[level]
    }
  }

  /// The module that a name means, and whether it is the original one.
  func target(of key: AdapterFile.Key) -> (target: Target, isOriginal: Bool)? {
    for part in parts(key.network) {
      if key.isFlattened {
        if let module = flattened[part]?[key.module] { return (Target(part: part, module: module), false) }
        if part == .unet, let module = originals[key.module] { return (Target(part: part, module: module), true) }
      } else {
        for name in [key.module, "text_model." + key.module] {
          let target = Target(part: part, module: name)
          if dotted[target] != nil { return (target, false) }
        }
      }
    }
    return nil
  }

  private func parts(_ network: AdapterNames.Network) -> [ModelPart] {
    switch network {
    case .unet: [.unet]
    // A refiner's only encoder is the second; its adapters may call it the first.
    case .textEncoder: components[.textEncoder] == nil ? [.textEncoder2] : [.textEncoder]
    case .textEncoder2: [.textEncoder2]
    case .unknown: [.unet, .textEncoder]
    }
  }

  func shape(_ target: Target, _ ending: String) -> [Int]? {
    components[target.part]?.shape(of: "\(target.module).\(ending)")
  }

  /// Says which family an adapter is of, where its names or widths tell that it is not the model's.
  func explained(_ error: ModelError, _ file: AdapterFile) -> ModelError {
    guard case .adapter(let path, let item, let expected, let found) = error else { return error }
    let isLarge = dotted[Target(part: .unet, module: "add_embedding.linear_1")] != nil
    let spellings = file.modules.map(\.place.spelling)
    let isForLarge = spellings.contains {
      $0.hasPrefix("lora_te2_") || $0.hasPrefix("text_encoder_2.") || $0.hasPrefix("lora_unet_input_blocks_")
        || $0.hasPrefix("lora_unet_output_blocks_")
    }
    guard isForLarge, !isLarge else { return error }
    return .adapter(path: path, item: item, expected: expected, found: found + ": it is an adapter for SDXL")
  }
}
