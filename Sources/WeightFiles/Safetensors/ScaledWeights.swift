package import Files
package import Kernels
internal import StrictJSON

/// Weights of eight bits with scales beside them: `weight · scale`.
///
/// ComfyUI writes `NAME.scale_weight` and a marker `scaled_fp8`, or `NAME.weight_scale` with `NAME.comfy_quant`; others
/// write `NAME.weight_scale` alone. A scale is one number, one for each row, or one for each block of the matrix.
package struct ScaledWeights: WeightSource {
  private let file: SafetensorsFile
  /// The scale's name for each weight.
  private let scales: [String: String]
  package let names: [String]

  private static let markers = ["scaled_fp8"]
  /// Scales of activations, and text about the weight's format: nothing of theirs is needed here.
  private static let companions = [".scale_input", ".input_scale", ".comfy_quant"]

  /// The file itself, if it has no scales; otherwise its weights with the scales applied.
  ///
  /// - Throws: ``FileError`` if a scale fits no weight of eight bits, or a format is unknown.
  package static func unscaled(_ file: SafetensorsFile) throws(FileError) -> any WeightSource {
    var scales: [String: String] = [:]
    var companions: Set<String> = []
    for name in file.names {
      if let weight = try weight(scaledBy: name, in: file) {
        scales[weight] = name
      } else if markers.contains(where: { name == $0 || name.hasSuffix("." + $0) })
        || Self.companions.contains(where: { name.hasSuffix($0) })
      {
        companions.insert(name)
        try checkFormat(name, in: file)
      }
    }
    try checkFormats(of: file.metadata["_quantization_metadata"], in: file)
    for name in file.names where file.elementType(of: name) == .int8 && scales[name] == nil && isWeight(name) {
      throw .malformedItem(
        file: file.path, item: name, expected: "a weight_scale beside weights of 8-bit integers", found: "none")
    }
    guard !scales.isEmpty || !companions.isEmpty else { return file }
    let hidden = companions.union(scales.values)
    return ScaledWeights(file: file, scales: scales, names: file.names.filter { !hidden.contains($0) })
  }

  private static func isWeight(_ name: String) -> Bool { name.hasSuffix(".weight") }

  /// The weight that a tensor is the scale of; nil if it is none.
  private static func weight(scaledBy name: String, in file: SafetensorsFile) throws(FileError) -> String? {
    for (ending, whole) in [(".scale_weight", ".weight"), (".weight_scale", ".weight"), (".weight_scale_2", ".weight")]
    where name.hasSuffix(ending) {
      let weight = String(name.dropLast(ending.count)) + whole
      func refused(_ expected: String, _ found: String) -> FileError {
        .malformedItem(file: file.path, item: name, expected: expected, found: found)
      }
      if ending == ".weight_scale_2" { throw refused("one scale a weight", "the second of nvfp4, which is not read") }
      guard let shape = file.shape(of: weight), let type = file.elementType(of: weight), type.isNarrow else {
        let found = file.elementType(of: weight).map { "\(weight) of \($0.rawValue)" } ?? "no \(weight)"
        throw refused("a weight of F8_E4M3, F8_E5M2 or I8 that it scales", found)
      }
      guard Blocks(scale: file.shape(of: name) ?? [], of: shape) != nil else {
        throw refused(
          "one number, one for each row, or one for each block of \(shape)", "\(file.shape(of: name) ?? [])")
      }
      return weight
    }
    return nil
  }

  private static let formats = ["float8_e4m3fn", "float8_e5m2", "int8_tensorwise"]

  /// Holds what a `comfy_quant` says of its weight's format against those that are read.
  private static func checkFormat(_ name: String, in file: SafetensorsFile) throws(FileError) {
    guard name.hasSuffix(".comfy_quant") else { return }
    let text = try file.bytes(name)
    guard let json = try? StrictJSON.parse(text) else {
      throw .malformedItem(file: file.path, item: name, expected: "JSON that names a format", found: "other bytes")
    }
    try check(json, name, in: file)
  }

  private static func checkFormats(of text: String?, in file: SafetensorsFile) throws(FileError) {
    guard let text else { return }
    let item = "_quantization_metadata"
    guard let json = try? StrictJSON.parse(Array(text.utf8)), case .object(let layers)? = json["layers"] else {
      throw .malformedItem(file: file.path, item: item, expected: "JSON with layers", found: "other text")
    }
    for layer in layers { try check(layer.value, "\(item): \(layer.key)", in: file) }
  }

  private static func check(_ json: StrictJSON, _ item: String, in file: SafetensorsFile) throws(FileError) {
    guard case .string(let format)? = json["format"], formats.contains(format) else {
      let found = if case .string(let format)? = json["format"] { format } else { "no format" }
      throw .malformedItem(file: file.path, item: item, expected: formats.joined(separator: ", "), found: found)
    }
    if let rotation = json["convrot"], rotation != .boolean(false), rotation != .null {
      throw .malformedItem(
        file: file.path, item: item, expected: "weights of plain inputs", found: "\(format) with convrot")
    }
  }

  package var origin: String { file.path }
  package var files: [String] { [file.path] }
  package var metadata: [String: String] { file.metadata }

  package func shape(of name: String) -> [Int]? { file.shape(of: name) }
  package func typeName(of name: String) -> String? { file.typeName(of: name) }
  package func holdsFloats(_ name: String) -> Bool { scales[name] != nil || file.holdsFloats(name) }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    let plain = try file.elements(name)
    guard let scale = scales[name], let shape = file.shape(of: name),
      let blocks = Blocks(scale: file.shape(of: scale) ?? [], of: shape)
    else { return plain }
    let factors = try file.floats(scale).elements
    return WeightElements(count: plain.count) { part, y, offset in
      plain.copy(part, into: y, at: offset)
      part.forEachRow { elements, row in
        y.withMutableSpan(offset + row..<offset + row + elements.count) { values in
          blocks.forEachRun(of: elements) { run, factor in
            for index in run { values[index - elements.lowerBound] *= factors[factor] }
          }
        }
      }
    }
  }

  /// Which scale an element has.
  private struct Blocks {
    /// Elements of a row of the weight.
    private let width: Int
    /// Rows and columns that share a scale, and scales in a row.
    private let rows, columns, perRow: Int

    /// - Parameter scale: its extents; nil if they do not divide the weight's.
    init?(scale: [Int], of shape: [Int]) {
      let outputs = max(1, shape.first ?? 1)
      width = max(1, shape.dropFirst().reduce(1, *))
      let trimmed = scale.reversed().drop { $0 == 1 }.reversed().map { $0 }
      if trimmed.isEmpty {
        (rows, columns, perRow) = (outputs, width, 1)
      } else if trimmed == [outputs] {
        (rows, columns, perRow) = (1, width, 1)
      } else if scale.count == 2, shape.count == 2, scale[0] > 0, scale[1] > 0, outputs % scale[0] == 0,
        width % scale[1] == 0
      {
        (rows, columns, perRow) = (outputs / scale[0], width / scale[1], scale[1])
      } else {
        return nil
      }
    }

    /// Calls `body` with consecutive elements that share a scale, and the scale's place.
    func forEachRun(of elements: Range<Int>, _ body: (Range<Int>, Int) -> Void) {
      var start = elements.lowerBound
      while start < elements.upperBound {
        let (row, column) = start.quotientAndRemainder(dividingBy: width)
        let end = min(elements.upperBound, start - column + (column / columns + 1) * columns)
        body(start..<end, row / rows * perRow + column / columns)
        start = end
      }
    }
  }
}
