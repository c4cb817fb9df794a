import Foundation
import Kernels
import TestSupport
import Testing
import WeightFiles

@Suite struct WeightFolderTests {
  let scratch: ScratchFolder

  init() throws { scratch = try ScratchFolder() }

  @Test(arguments: [
    ("whole", ElementType.float32), ("brain-float", .brainFloat16), ("variant", .float16),
    ("both", .float32), ("sharded", .float32), ("sharded-variant", .float16),
  ])
  func layouts(name: String, elementType: ElementType) throws {
    let folder = try WeightFolder(path: fixture(name))
    let shapes = [
      "conv_in.bias": [2], "conv_in.weight": [2, 3, 1, 1],
      "mid_block.attentions.0.to_q.weight": [4, 3],
    ]
    #expect(folder.names == shapes.keys.sorted())
    for (tensor, shape) in shapes {
      #expect(folder.shape(of: tensor) == shape)
      #expect(folder.typeName(of: tensor) == elementType.rawValue)
      let ramp = (0..<shape.reduce(1, *)).map { Float($0 - 3) / 4 }
      #expect(try folder.floats(tensor).elements == ramp)
    }
    #expect(message { _ = try folder.floats("absent") } == "\(folder.path): no tensor absent")
  }

  @Test func emptyFolder() throws {
    let expected =
      "no weights: expected diffusion_pytorch_model.safetensors or model.safetensors, a shard index, an .fp16 variant or .bin"
    #expect(
      message { _ = try WeightFolder(path: scratch.path) } == "\(scratch.path): \(expected); found nothing there")
    try scratch.write("model.pruned.safetensors", Data())
    #expect(
      message { _ = try WeightFolder(path: scratch.path) }
        == "\(scratch.path): \(expected); found model.pruned.safetensors")
  }

  /// What an index with this map is refused with; the folder holds `s.safetensors` with `x`.
  private func refusal(_ map: String) throws -> String? {
    try SafetensorsWriter.write(
      tensors: [("x", [1], Buffer([1]))], to: scratch.file("s.safetensors"))
    try scratch.write("model.safetensors.index.json", Data(map.utf8))
    return message { _ = try WeightFolder(path: scratch.path) }?
      .replacingOccurrences(of: scratch.path, with: "F")
  }

  @Test func indexes() throws {
    let index = "F/model.safetensors.index.json"
    #expect(try refusal("{\"weight_map\":{\"x\":\"s.safetensors\"}}") == nil)
    #expect(
      try refusal("[]") == "\(index): expected an object with a weight_map, found a list")
    #expect(
      try refusal("{")
        == "\(index): expected a key in quotes at line 1, column 2, found text that is not JSON")
    #expect(
      try refusal("{\"weight_map\":{\"x\":7}}")
        == "\(index): x: expected the name of a shard, found an integer")
    for evil in ["../s.safetensors", "/etc/s.safetensors", "..", "a/s.safetensors", "s.txt"] {
      #expect(
        try refusal("{\"weight_map\":{\"x\":\"\(evil)\"}}")
          == "\(index): x: expected a plain .safetensors or .bin file name in the same folder, "
          + "found '\(evil)'")
    }
    #expect(
      try refusal("{\"weight_map\":{\"x\":\"t.safetensors\"}}")
        == "\(index): no shard t.safetensors in the folder")
    #expect(
      try refusal("{\"weight_map\":{\"x\":\"s.safetensors\",\"y\":\"s.safetensors\"}}")
        == "F/s.safetensors: no tensor y, which model.safetensors.index.json places there")
    #expect(
      try refusal("{\"weight_map\":{\"y\":\"s.safetensors\"}}")
        == "\(index): x: expected the shard that holds it, s.safetensors, found nothing")
  }
}
