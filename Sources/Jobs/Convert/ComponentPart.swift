internal import Checkpoints
internal import CoreMLExport
internal import Layers
internal import MIL
internal import Tensors

/// One package to be written.
struct ComponentPart {
  /// As Apple's file names have it.
  let name: String
  let fileName: String
  /// Apple's name in a `Resources` folder, without ending.
  let resource: String
  /// What `sdtune run` runs to the same outputs.
  let reference: String
  let network: TracedNetwork
  let weights: WeightFolder
  var precision: ExportOptions.Precision = .half
  /// Nil for the form that was asked for.
  var attention: ExportOptions.AttentionForm?
  let metadata: Metadata
}

extension WeightFolder {
  /// Names and shapes for a trace.
  ///
  /// - Parameter suffixes: of names that are no weights of the model.
  func shapes(ignoring suffixes: [String] = []) -> WeightShapes {
    var shapes: [String: Shape] = [:]
    for name in names where !suffixes.contains(where: { name.hasSuffix($0) }) {
      shapes[name] = Shape(shape(of: name) ?? [])
    }
    return WeightShapes(shapes, origin: path)
  }
}
