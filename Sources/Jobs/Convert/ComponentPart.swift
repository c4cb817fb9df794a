internal import CoreMLExport
internal import MIL
internal import StableDiffusion

/// One package to be written.
struct ComponentPart {
  /// As Apple's file names have it.
  let name: String
  let fileName: String
  /// Apple's name in a `Resources` folder, without ending.
  let resource: String
  /// What gives the same outputs natively.
  let reference: RunTarget
  let network: TracedNetwork
  let component: ModelComponent
  var precision: ExportOptions.Precision = .half
  /// Nil for the form that was asked for.
  var attention: ExportOptions.AttentionForm?
  let metadata: Metadata
}
