package import Files
package import Kernels

/// Named weights, wherever and in whatever form they lie: in files, under other names, merged with adapters.
///
/// Nothing is read but names and extents until elements are asked for.
package protocol WeightSource: Sendable {
  /// What messages call it: the path of a file or folder.
  var origin: String { get }
  /// The files that it reads.
  var files: [String] { get }
  /// What beside the files decides the weights, such as the strength of an adapter: a line each.
  var notes: [String] { get }
  /// The file's own notes beside its tensors, such as `modelspec.prediction_type`.
  var metadata: [String: String] { get }
  /// Names of all tensors, sorted.
  var names: [String] { get }
  /// The tensor's extents, or nil if there is none of that name.
  func shape(of name: String) -> [Int]?
  /// How the file stores the tensor, in the format's own word.
  func typeName(of name: String) -> String?
  func holdsFloats(_ name: String) -> Bool
  /// The tensor's elements, widened or rounded to 32-bit floats wherever they are used.
  func elements(_ name: String) throws(FileError) -> WeightElements
  /// What the file itself calls a tensor of this name, for messages; it need not be there.
  func spelling(of name: String) -> String
}

extension WeightSource {
  package var notes: [String] { [] }
  package var metadata: [String: String] { [:] }

  package func spelling(of name: String) -> String { name }

  /// The tensor's elements in memory.
  ///
  /// - Throws: if there is none of that name, or if it holds integers.
  package func floats(_ name: String) throws(FileError) -> Buffer {
    guard shape(of: name) == nil || holdsFloats(name) else {
      throw .malformedItem(
        file: origin, item: spelling(of: name), expected: "floats", found: typeName(of: name) ?? "other numbers")
    }
    return try elements(name).buffer
  }

  package func contains(_ name: String) -> Bool { shape(of: name) != nil }
}

/// Opens weight files by what they contain, whatever their names say.
package enum WeightFile {
  /// - Throws: ``FileError`` if the file is of no form that is read, naming what it is.
  package static func open(_ path: String) throws(FileError) -> any WeightSource {
    let file = try MappedFile.open(path)
    switch FileContent(file) {
    case .gguf: return try GGUFFile(file)
    case .zip, .pickle: return try TorchFile(file)
    default: return try ScaledWeights.unscaled(try SafetensorsFile(path: path))
    }
  }
}
