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
  /// Further functions of the package, and what its default one is then called.
  var functions: (own: String, further: [Variant])?

  /// Another size, or other adapters, of the same component.
  struct Variant {
    let function: String
    let network: TracedNetwork
    let component: ModelComponent
  }

  /// The function of a package without others.
  static let onlyFunction = "main"

  /// All of them, the default one first.
  var variants: [Variant] {
    [Variant(function: functions?.own ?? Self.onlyFunction, network: network, component: component)]
      + (functions?.further ?? [])
  }
}
