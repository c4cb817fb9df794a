import Foundation
import Models
import StableDiffusion
import TestSupport
import Testing
import WeightFiles

/// Files whose extents, numbers and nesting are not to be believed: each is refused with a message.
@Suite struct UnbelievableFilesTests {
  /// A safetensors file of zeros; tensors of a million elements and more are without data.
  private func safetensors(_ scratch: ScratchFolder, _ tensors: [(name: String, type: String, shape: String)]) throws
    -> String
  {
    var end = 0
    let entries = tensors.map { tensor in
      let start = end
      let extents = tensor.shape.split(separator: ",").compactMap { Double($0.trimmingCharacters(in: .whitespaces)) }
      let count = extents.reduce(1, *)
      if count < 1e6 { end += Int(count) * (tensor.type == "F32" ? 4 : 1) }
      return
        "\"\(tensor.name)\":{\"dtype\":\"\(tensor.type)\",\"shape\":[\(tensor.shape)],\"data_offsets\":[\(start),\(end)]}"
    }
    let header = Data("{\(entries.joined(separator: ","))}".utf8)
    let count = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
    return try scratch.write("file.safetensors", count + header + Data(count: end))
  }

  @Test(arguments: ["1099511627776, 1099511627776", "4611686018427387903"])
  func extentsBesideNone(extents: String) throws {
    let scratch = try ScratchFolder()
    let file = try safetensors(scratch, [("x.weight", "F8_E4M3", "0,\(extents)"), ("x.scale_weight", "F32", "1")])
    #expect(throws: (any Error).self) { try WeightFile.open(file) }
  }

  /// Names alone make no network, however large their numbers are.
  @Test(arguments: [
    ["cond_stage_model.model.token_embedding.weight"], ["conditioner.embedders.0.model.token_embedding.weight"],
    ["input_blocks.0.0.weight", "input_blocks.9223372036854775807.0.op.weight"],
    ["input_blocks.0.0.weight", "input_blocks.-9223372036854775808.0.op.weight"],
  ])
  func names(names: [String]) throws {
    let scratch = try ScratchFolder()
    let file = try safetensors(scratch, names.map { ($0, "F32", "1") })
    #expect(throws: (any Error).self) {
      let model = try ModelSource(file)
      for part in ModelPart.allCases where model.has(part) { _ = try model.component(part).textEncoder() }
    }
  }

  /// Adapters for the first convolution of a small UNet, with factors of no extent or of too many.
  @Test(arguments: [
    [("lora_down.weight", "4,36"), ("lora_up.weight", "16,4,0")],
    [
      ("lora_down.weight", "1073741824,0"), ("lora_up.weight", "16,1073741824,0"),
      ("lora_mid.weight", "1073741824,1073741824,0"),
    ],
    [("lora_down.weight", "4,0"), ("lora_up.weight", "16,4")],
    [("lokr_w1", "2,2,0"), ("lokr_w2", "8,2,3,3")],
    [("lokr_w1", "1099511627776,0"), ("lokr_w2", "1099511627776,0")],
  ])
  func adapters(tensors: [(String, String)]) throws {
    let scratch = try ScratchFolder()
    let file = try safetensors(scratch, tensors.map { ("lora_unet_conv_in.\($0.0)", "F32", $0.1) })
    var additions = ModelAdditions()
    additions.adapters = [.init(path: file, strength: 1)]
    #expect(throws: (any Error).self) { try ModelSource(References.path("models/sd1-tiny"), additions) }
  }

  @Test func settingsOfAdapters() throws {
    let scratch = try ScratchFolder()
    let metadata = #""__metadata__":{"lora_adapter_metadata":"{\"unet.lora_alpha\": \"16\"}"}"#
    let down = #""unet.conv_in.lora_A.weight":{"dtype":"F32","shape":[1,4,3,3],"data_offsets":[0,144]}"#
    let up = #""unet.conv_in.lora_B.weight":{"dtype":"F32","shape":[16,1,1,1],"data_offsets":[144,208]}"#
    let header = Data("{\(metadata),\(down),\(up)}".utf8)
    let count = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
    let file = try scratch.write("file.safetensors", count + header + Data(count: 208))
    var additions = ModelAdditions()
    additions.adapters = [.init(path: file, strength: 1)]
    let error = #expect(throws: ModelError.self) { try ModelSource(References.path("models/sd1-tiny"), additions) }
    #expect(error.map { "\($0)" }?.contains("lora_alpha: expected a number") ?? false, "\(String(describing: error))")
  }

  private func pickle(_ scratch: ScratchFolder, _ bytes: [UInt8]) throws -> String {
    try scratch.write("file.ckpt", Data([0x80, 2] + bytes + [UInt8(ascii: ".")]))
  }

  /// Tuples inside of tuples, dictionaries inside of dictionaries, and one dictionary inside of many.
  @Test func nesting() throws {
    let scratch = try ScratchFolder()
    let tuples = [UInt8(ascii: ")")] + [UInt8](repeating: 0x85, count: 40)
    let deep =
      (0..<40).reduce(into: [UInt8](ascii: "}")) { bytes, _ in bytes += [UInt8](ascii: "U\u{1}a}") }
      + [UInt8](repeating: UInt8(ascii: "s"), count: 40)
    // Each holds the one before a hundred times: the eighth would have 10¹⁶ entries.
    var shared = [UInt8](ascii: "}q\u{0}")
    for level in 1...8 {
      shared += [UInt8](ascii: "}(")
      for entry in 0..<100 {
        shared += [UInt8](ascii: "X\u{1}\0\0\0") + [UInt8(entry)] + [UInt8](ascii: "h") + [UInt8(level - 1)]
      }
      shared += [UInt8](ascii: "uq") + [UInt8(level)]
    }
    for bytes in [tuples, deep, shared] {
      let file = try pickle(scratch, bytes)
      #expect(throws: (any Error).self) { try WeightFile.open(file) }
    }
  }

  @Test(arguments: [
    ("unet", "layers_per_block", "1000000"), ("unet", "cross_attention_dim", "[24, 16, 24]"),
    ("unet", "norm_eps", "NaN"), ("vae", "scaling_factor", "NaN"),
    ("vae", "block_out_channels", "[32,32,32,32,32,32,32,32,32,32,32,32,32,32,32,32,32,32,32,32]"),
  ])
  func configurations(part: String, key: String, value: String) throws {
    let file = References.path("models/sd1-tiny/\(part)/config.json")
    let scratch = try ScratchFolder()
    let text = try String(contentsOfFile: file, encoding: .utf8)
    let changed = text.replacing(try Regex("\"\(key)\": (\\[[^\\]]*\\]|[^,\\n]*)"), with: "\"\(key)\": \(value)")
    try #require(changed != text)
    let copy = try JSONConfiguration(file: scratch.write("config.json", changed))
    let error = #expect(throws: ConfigurationError.self) {
      if part == "vae" { _ = try AutoencoderConfiguration(copy) } else { _ = try UNetConfiguration(copy) }
    }
    #expect(error.map { "\($0)" }?.contains(key) ?? false)
  }

  @Test(arguments: ["NaN", "Infinity"])
  func promptsWithoutLimit(value: String) throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("tokenizer")
    try FileManager.default.copyItem(atPath: References.path("models/sd1-tiny/tokenizer"), toPath: folder)
    try Data("{\"model_max_length\": \(value)}".utf8).write(to: URL(filePath: folder + "/tokenizer_config.json"))
    if value == "NaN" {
      #expect(throws: ConfigurationError.self) { try TokenizerFiles(folder: folder) }
    } else {
      #expect(try CLIPTokenizer(folder: folder).length > 0)
    }
  }
}

extension [UInt8] {
  fileprivate init(ascii text: String) { self = Array(text.utf8) }
}
