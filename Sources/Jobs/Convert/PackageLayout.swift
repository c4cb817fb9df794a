internal import CoreMLExport

/// Where the packages of a conversion lie, and where what a Mac makes of them belongs.
struct PackageLayout: Sendable {
  /// The folder of everything.
  let root: String
  /// The folder of the packages.
  let packages: String
  /// A folder of packages under the names of Apple's Swift package, which are compiled where they lie; nil for none.
  let resources: String?
  /// A folder for compiled models beside that of the packages, as Apple's repositories on the hub have it; nil for none.
  let compiled: String?

  /// - Parameters:
  ///   - hubFolder: of a form of attention, in the layout of Apple's repositories; nil for packages in `output` itself
  ///   - hasResources: whether there is a `Resources` folder
  init(_ output: String, hubFolder: String?, hasResources: Bool) {
    self.root = output
    let root = hubFolder.map { "\(output)/\($0)" } ?? output
    packages = hubFolder == nil ? root : root + "/packages"
    resources = hasResources ? root + "/Resources" : nil
    compiled = hubFolder == nil ? nil : root + "/compiled"
  }
}

extension ExportOptions.AttentionForm {
  /// Its folder in Apple's repositories.
  var hubFolder: String {
    switch self {
    case .original: "original"
    case .splitEinsum: "split_einsum"
    case .splitEinsumV2: "split_einsum_v2"
    }
  }
}
