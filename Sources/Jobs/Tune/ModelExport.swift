internal import Clustering
internal import Files
internal import Foundation
internal import Kernels
internal import Models
internal import StableDiffusion
internal import StrictJSON
internal import WeightFiles

/// A tuned UNet with the rest of its model, in the forms that other tools take.
struct ModelExport {
  let model: ModelSource
  let hard: HardWeights

  /// The UNet's weights, palettized values written out.
  private var unet: [SafetensorsWriter.Item] {
    hard.names.compactMap { name in
      hard.weights[name].map { weight in
        SafetensorsWriter.Item(name, hard.shapes[name] ?? [], .float32) { weight.decoded }
      }
    }
  }

  // MARK: diffusers' layout

  /// Writes a whole model's folder; what was not tuned is copied from the model's own.
  ///
  /// The UNet's two files also stand at the top, where sdtune wrote them alone before.
  func writeFolder(_ output: String) throws {
    let own = try ModelSource.folder(model.path)
    guard URL(filePath: own).resolvingSymlinksInPath() != URL(filePath: output).resolvingSymlinksInPath() else {
      throw JobError.option(name: "--output", expected: "another folder than the model's", found: output)
    }
    let folder = output + "/unet"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let configuration = try model.configuration(of: .unet)
    _ = try UNetConfiguration(configuration)
    try write(configuration.json, to: folder + "/config.json")
    try SafetensorsWriter.write(
      items: unet, metadata: ["format": "pt"], to: folder + "/diffusion_pytorch_model.safetensors")
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
      let top = "\(output)/\(name)"
      if FileManager.default.fileExists(atPath: top) { try FileManager.default.removeItem(atPath: top) }
      try FileManager.default.linkItem(atPath: "\(folder)/\(name)", toPath: top)
    }
    for part in ModelPart.allCases where part != .unet && model.has(part) {
      try writePart(part, to: "\(output)/\(part.rawValue)")
    }
    for name in try companions() { try copyFolder("\(own)/\(name)", to: "\(output)/\(name)") }
    for part in model.textEncoders {
      try writeTokenizer(part, to: "\(output)/\(part == .textEncoder ? "tokenizer" : "tokenizer_2")")
    }
    if let scheduler = try model.scheduler() {
      try FileManager.default.createDirectory(atPath: output + "/scheduler", withIntermediateDirectories: true)
      try write(scheduler.json, to: output + "/scheduler/scheduler_config.json")
    }
    try write(try index(), to: output + "/model_index.json")
  }

  private func writePart(_ part: ModelPart, to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // Files of the folder that the part came from, unless something was put on top of it.
    let own = "\(try ModelSource.folder(model.path))/\(part.rawValue)"
    if model.additions.leavesWeights || part == .safetyChecker,
      FileManager.default.fileExists(atPath: own + "/config.json")
    {
      return try copyFolder(own, to: folder, weights: model.component(part).weights.files)
    }
    let component = try model.component(part)
    try write(component.configuration.json, to: folder + "/config.json")
    let items = component.weights.names.map { name in
      SafetensorsWriter.Item(name, component.weights.shape(of: name) ?? [], .float32) { () throws(FileError) in
        try component.weights.floats(name)
      }
    }
    let isText = ModelPart.textEncoders.contains(part)
    try SafetensorsWriter.write(
      items: items, metadata: ["format": "pt"],
      to: folder + (isText ? "/model.safetensors" : "/diffusion_pytorch_model.safetensors"))
  }

  /// Folders of the model that its index names and that hold no network of ours, such as `feature_extractor`.
  private func companions() throws -> [String] {
    let own = try ModelSource.folder(model.path)
    let known = Set(ModelPart.allCases.flatMap { [$0.rawValue, $0.tokenizerFolder] } + ["scheduler"])
    // An index from a stranger must not reach outside its folder.
    return JSONConfiguration(file: own, try index()).keys.filter { name in
      !known.contains(name) && !name.hasPrefix(".") && !name.contains("/") && ModelSource.isFolder("\(own)/\(name)")
    }
  }

  /// Copies a folder's files; of its weights, which repositories hold in several formats and precisions, those that were read.
  private func copyFolder(_ source: String, to folder: String, weights: [String] = []) throws {
    let read = Set(weights.map { URL(filePath: $0).lastPathComponent })
    let files = FileManager.default
    try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for name in try files.contentsOfDirectory(atPath: source) where !ModelSource.isFolder("\(source)/\(name)") {
      let isWeights = [".safetensors", ".bin", ".msgpack", ".onnx", ".h5", ".ot"].contains { name.hasSuffix($0) }
      if read.contains(name) || !isWeights {
        try FileCopy.replace("\(folder)/\(name)", with: "\(source)/\(name)")
      }
    }
  }

  private func writeTokenizer(_ part: ModelPart, to folder: String) throws {
    let own = "\(try ModelSource.folder(model.path))/\(URL(filePath: folder).lastPathComponent)"
    if model.additions.embeddings.isEmpty, TokenizerFiles.exist(in: own) {
      return try copyFolder(own, to: folder)
    }
    let files = try model.tokenizerFiles(of: part)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, contents) in files.files { try AtomicFile(path: "\(folder)/\(name)").write(contents) }
    let padding = files.padding ?? "<|endoftext|>"
    let text = { (text: String) in StrictJSON.string(text) }
    try write(
      .object([
        .init(key: "bos_token", value: text("<|startoftext|>")), .init(key: "eos_token", value: text("<|endoftext|>")),
        .init(key: "unk_token", value: text("<|endoftext|>")), .init(key: "pad_token", value: text(padding)),
        .init(key: "model_max_length", value: .integer(try model.tokenizer(of: part).length)),
        .init(key: "tokenizer_class", value: text("CLIPTokenizer")),
      ]), to: folder + "/tokenizer_config.json")
    try write(.object([.init(key: "pad_token", value: text(padding))]), to: folder + "/special_tokens_map.json")
  }

  /// `model_index.json`: the model's own, or one for its parts.
  private func index() throws -> StrictJSON {
    let own = try ModelSource.folder(model.path) + "/model_index.json"
    if FileManager.default.fileExists(atPath: own) { return try StrictJSON.read(own, dialect: .python) }
    func library(_ name: String, _ kind: String) -> StrictJSON { .array([.string(name), .string(kind)]) }
    let nothing = StrictJSON.array([.null, .null])
    let inputs = try model.unetConfiguration().inputChannels
    let pipeline =
      switch model.family {
      case .base: inputs == 9 ? "StableDiffusionInpaintPipeline" : "StableDiffusionPipeline"
      case .xl: inputs == 9 ? "StableDiffusionXLInpaintPipeline" : "StableDiffusionXLPipeline"
      case .refiner: "StableDiffusionXLImg2ImgPipeline"
      }
    var values: [String: StrictJSON] = [
      "_class_name": .string(pipeline), "_diffusers_version": .string("0.30.0"),
      "unet": library("diffusers", "UNet2DConditionModel"), "vae": library("diffusers", "AutoencoderKL"),
      "scheduler": library("diffusers", try model.scheduler()?.string("_class_name") ?? "DDIMScheduler"),
      "text_encoder": model.has(.textEncoder) ? library("transformers", "CLIPTextModel") : nothing,
      "tokenizer": model.has(.textEncoder) ? library("transformers", "CLIPTokenizer") : nothing,
    ]
    if model.family == .base {
      values["safety_checker"] = nothing
      values["feature_extractor"] = nothing
      values["requires_safety_checker"] = .boolean(false)
    } else {
      values["text_encoder_2"] = library("transformers", "CLIPTextModelWithProjection")
      values["tokenizer_2"] = library("transformers", "CLIPTokenizer")
      values["force_zeros_for_empty_prompt"] = .boolean(try model.zeroesEmptyPrompt())
    }
    if model.family == .refiner { values["requires_aesthetics_score"] = .boolean(true) }
    return JSONConfiguration(file: "", values: values).json
  }

  private func write(_ json: StrictJSON, to path: String) throws {
    try AtomicFile(path: path).write(Data((json.text + "\n").utf8))
  }

  // MARK: One file

  /// Writes the single file that the model came from, with the UNet's tensors replaced under their own names and widths.
  func writeSingleFile(_ output: String) throws {
    guard !FileManager.default.fileExists(atPath: try ModelSource.folder(model.path) + "/unet/config.json") else {
      throw JobError.option(
        name: "--format", expected: "diffusers for a model that came as a folder", found: "single-file")
    }
    let source = try WeightFile.open(model.path)
    let component = try model.component(.unet)
    var tuned: [String: String] = [:]
    for name in hard.names { tuned[component.weights.spelling(of: name)] = name }
    let missing = tuned.keys.filter { !source.contains($0) }.sorted()
    guard missing.isEmpty else {
      throw JobError.unusable(
        file: model.path, expected: "the tensors that were tuned", found: "no '\(missing[0])'")
    }
    let texts = try mergedTexts(source)
    // A guidance that is in the weights must not be asked for again.
    let folded = model.embedsGuidance ? component.weights.spelling(of: GuidanceEmbedding.projection) : nil
    let items = try source.names.filter { $0 != folded }.map { name -> SafetensorsWriter.Item in
      let shape = source.shape(of: name) ?? []
      let precision: SafetensorsWriter.Precision = source.typeName(of: name) == "F32" ? .float32 : .float16
      if let new = tuned[name], let weight = hard.weights[new] {
        return SafetensorsWriter.Item(name, shape, precision) { weight.decoded }
      }
      if let parts = texts[name] {
        return SafetensorsWriter.Item(name, shape, precision) { () throws(FileError) in try parts.joined() }
      }
      return try source.item(name, shape)
    }
    let metadata = ["format": "pt", "modelspec.prediction_type": try model.prediction() == "epsilon" ? "epsilon" : "v"]
    try SafetensorsWriter.write(items: items, metadata: metadata, to: output)
  }

  /// The tensors of text encoders that adapters change, by the file's names: one weight, or a fused projection's three.
  private func mergedTexts(_ source: any WeightSource) throws -> [String: FusedWeight] {
    guard !model.additions.adapters.isEmpty else { return [:] }
    var texts: [String: FusedWeight] = [:]
    for part in model.textEncoders {
      let weights = try model.component(part).weights
      for (name, own) in Dictionary(grouping: weights.names, by: { weights.spelling(of: $0) }) {
        // A transposed matrix stays as it is, as does a table that embeddings have made longer.
        let count = own.reduce(0) { $0 + (weights.shape(of: $1) ?? []).reduce(1, *) }
        guard own != ["text_projection.weight"], count == source.shape(of: name)?.reduce(1, *) else { continue }
        texts[name] = FusedWeight(weights: weights, names: own)
      }
    }
    return texts
  }

  // MARK: Palettes

  /// Writes tables and packed indices of the UNet; `docs/palettes-format.md` says how they lie.
  func writePalettes(_ output: String) throws {
    var items: [SafetensorsWriter.Item] = []
    for name in hard.names {
      switch hard.weights[name] {
      case .half(let buffer)?: items.append(.init(name, hard.shapes[name] ?? [], .float16) { buffer })
      case .palettized(let tensor)?: items += tensor.items(name)
      case nil: break
      }
    }
    let layouts = hard.names.compactMap { name -> String? in
      guard case .palettized(let tensor)? = hard.weights[name] else { return nil }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      return "\"\(name)\":{\"shape\":[\(shape)],\"bits\":\(tensor.bits),\"axis\":\(tensor.layout.axis),"
        + "\"groups\":\(tensor.layout.groups),\"vector\":\(tensor.layout.vector)}"
    }
    try SafetensorsWriter.write(
      items: items,
      metadata: ["format": "sdtune-palettes", "version": "1", "palettes": "{\(layouts.joined(separator: ","))}"],
      to: output)
  }
}

/// Weights that stand behind each other in one tensor of a file: queries, keys and values of OpenCLIP.
private struct FusedWeight {
  let weights: any WeightSource
  let names: [String]

  func joined() throws(FileError) -> Buffer {
    let order = ["q_proj", "k_proj", "v_proj"]
    let sorted = names.sorted { a, b in
      (order.firstIndex { a.contains($0) } ?? 0) < (order.firstIndex { b.contains($0) } ?? 0)
    }
    var elements: [Float] = []
    for name in sorted { elements += try weights.floats(name).elements }
    return Buffer(elements)
  }
}

extension WeightSource {
  /// A tensor as the source stores it, or in single precision where that type cannot be written.
  fileprivate func item(_ name: String, _ shape: [Int]) throws -> SafetensorsWriter.Item {
    guard let file = self as? SafetensorsFile, let type = file.elementType(of: name) else {
      return SafetensorsWriter.Item(name, shape, .float32) { () throws(FileError) in try self.elements(name).buffer }
    }
    return SafetensorsWriter.Item(name, type, shape) { () throws(FileError) in Data(try file.bytes(name)) }
  }
}

extension PalettizedTensor {
  /// `NAME.indices`, `NAME.table` and, where channels have factors, `NAME.scale`.
  fileprivate func items(_ name: String) -> [SafetensorsWriter.Item] {
    let packed = Self.packed(indices, bits: bits)
    let codes = entries.codes
    var items = [
      SafetensorsWriter.Item(name + ".indices", .uint8, [packed.count]) { Data(packed) },
      SafetensorsWriter.Item(name + ".table", .float16, [layout.groups, 1 << bits, layout.vector]) {
        codes.withUnsafeBytes { Data($0) }
      },
    ]
    if let scale {
      items.append(.init(name + ".scale", .float16, [scale.count]) { scale.withUnsafeBytes { Data($0) } })
    }
    return items
  }

  /// Indices behind each other, the lowest bits of a byte first, as Core ML packs them.
  private static func packed(_ indices: [UInt8], bits: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (indices.count * bits + 7) / 8)
    for (number, index) in indices.enumerated() {
      let place = number * bits
      let word = UInt16(index) << UInt16(place % 8)
      bytes[place / 8] |= UInt8(truncatingIfNeeded: word)
      if place % 8 + bits > 8 { bytes[place / 8 + 1] |= UInt8(word >> 8) }
    }
    return bytes
  }
}
