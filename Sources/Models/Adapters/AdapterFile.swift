internal import Files
internal import Foundation
internal import Kernels
internal import StrictJSON
internal import WeightFiles

/// An adapter's tensors by module: a file, or a PEFT folder.
struct AdapterFile: Sendable {
  /// What a file says of one module.
  struct Module: Sendable {
    let place: Key
    /// Names of tensors in the file.
    var tensors: [AdapterNames.Slot: String] = [:]
  }

  struct Key: Hashable, Sendable {
    let module: String
    let network: AdapterNames.Network
    let isFlattened: Bool
    let spelling: String

    static func == (a: Key, b: Key) -> Bool { a.spelling == b.spelling }
    func hash(into hasher: inout Hasher) { hasher.combine(spelling) }
  }

  let path: String
  let source: any WeightSource
  let modules: [Module]
  /// PEFT's settings: of the file's header or of the folder's `adapter_config.json`.
  private let settings: StrictJSON?

  init(_ path: String) throws {
    self.path = path
    var file = path
    let config = path + "/adapter_config.json"
    if FileManager.default.fileExists(atPath: config) {
      let names = ["adapter_model.safetensors", "adapter_model.bin"].map { "\(path)/\($0)" }
      guard let found = names.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
        throw ModelError.notAModel(
          path: path, expected: "adapter_model.safetensors beside adapter_config.json", found: "none")
      }
      file = found
    }
    source = try WeightFile.open(file)
    if file != path {
      settings = try StrictJSON.read(config, dialect: .python)
    } else if let text = source.metadata["lora_adapter_metadata"] {
      do {
        settings = try StrictJSON.parse(Array(text.utf8), dialect: .python)
      } catch {
        throw ModelError.adapter(
          path: path, item: "lora_adapter_metadata", expected: "JSON with PEFT's settings",
          found: "\(error.expected) expected at line \(error.line), column \(error.column)")
      }
    } else {
      settings = nil
    }
    modules = try Self.modules(source, path)
  }

  private static func modules(_ source: any WeightSource, _ path: String) throws(ModelError) -> [Module] {
    let names = source.names
    guard !names.isEmpty else { throw .notAModel(path: path, expected: "an adapter's tensors", found: "none") }
    if let name = names.first(where: { $0.hasPrefix("model.diffusion_model.") || $0.contains("input_blocks.0.0.") }) {
      throw .notAModel(
        path: path, expected: "an adapter (LoRA)", found: "a model, with '\(name)': give it with --model")
    }
    let known = Set(names)
    var modules: [Key: Module] = [:]
    for name in names {
      // Extents are multiplied with each other below.
      let shape = source.shape(of: name) ?? []
      guard !shape.contains(0), shape.reduce(1, *) <= 1 << 31 else {
        throw .adapter(
          path: path, item: name, expected: "an adapter's factor of 1 to 2147483648 elements", found: "\(shape)")
      }
      let isFactors = name.hasSuffix(".weight") && known.contains(String(name.dropLast(".weight".count)) + ".on_input")
      guard let place = AdapterNames.place(of: name, isFactors: isFactors) else {
        throw .adapter(
          path: path, item: name, expected: "a tensor of LoRA, LoHa, LoKr, (IA)³, DoRA or a difference",
          found: "an unknown kind")
      }
      let key = Key(
        module: place.module, network: place.network, isFlattened: place.isFlattened, spelling: place.spelling)
      if let other = modules[key, default: Module(place: key)].tensors.updateValue(name, forKey: place.slot) {
        throw .adapter(path: path, item: name, expected: "one tensor for a module's factor", found: "'\(other)' too")
      }
    }
    return modules.values.sorted { $0.place.spelling < $1.place.spelling }
  }

  /// What divides by the rank: the module's own tensor, PEFT's settings, or nothing.
  ///
  /// - Returns: nil where the factor is 1.
  func factor(_ module: Module, rank: Int) throws -> Double? {
    if let name = module.tensors[.alpha] {
      guard source.shape(of: name)?.reduce(1, *) == 1 else {
        throw ModelError.adapter(
          path: path, item: name, expected: "one number", found: "\(source.shape(of: name) ?? [])")
      }
      return Double(try source.elements(name).buffer[0]) / Double(rank)
    }
    guard let settings else { return nil }
    let part =
      module.place.network == .textEncoder
      ? "text_encoder." : module.place.network == .textEncoder2 ? "text_encoder_2." : "unet."
    func setting(_ key: String) -> StrictJSON? { settings[part + key] ?? settings[key] }
    var alpha = setting("lora_alpha")
    if case .object(let patterns)? = setting("alpha_pattern") {
      let name = module.place.module
      alpha = patterns.first { name == $0.key || name.hasSuffix("." + $0.key) }?.value ?? alpha
    }
    let value: Double
    switch alpha {
    case .integer(let number)?: value = Double(number)
    case .number(let number)? where number.isFinite: value = number
    case nil, .null?: return nil
    case let other?:
      throw ModelError.adapter(path: path, item: "lora_alpha", expected: "a number", found: other.inWords)
    }
    return setting("use_rslora") == .boolean(true) ? value / Double(rank).squareRoot() : value / Double(rank)
  }
}
