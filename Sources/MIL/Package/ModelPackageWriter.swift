internal import Files
internal import Foundation

/// Writes an `.mlpackage`: everything into a temporary folder beside the destination, then one
/// rename.
///
/// Equal models give equal bytes: identifiers are fixed and maps are sorted. A writer that is
/// dropped unfinished leaves nothing behind.
package final class ModelPackageWriter {
  package let path: String
  /// Constants go here while the program is built.
  package let weights: WeightFileWriter
  private let folder: StagedFolder
  private var isFinished = false

  private static let modelFolder = "Data/com.apple.CoreML"

  package init(_ path: String) throws(MILError) {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = path
    folder = try MILError.writing { () throws(FileError) in
      let folder = try StagedFolder(path, kind: "package") { items in
        let isDamaged = items == ["Data"] && path.hasSuffix(".mlpackage")
        return isDamaged || items.contains(Manifest.fileName)
      }
      try folder.createFolder(Self.modelFolder + "/weights")
      return folder
    }
    let file = "\(Self.modelFolder)/weights/weight.bin"
    weights = try WeightFileWriter("\(folder.temporary)/\(file)", for: "\(path)/\(file)")
  }

  /// Writes the model and moves the package to its place, replacing what was there.
  ///
  /// The metadata gets a digest of the program and the weights, by which
  /// ``ModelPackage/isAsWritten()`` knows the package again.
  package func finish(_ model: Model) throws(MILError) {
    precondition(!isFinished, "\(path): written twice")
    try weights.finish()
    let hasWeights = weights.recordCount > 0
    var model = model
    model.metadata.userDefined[Metadata.contentKey] = try model.contentDigest(weights: hasWeights ? weights.path : nil)
    let data = try model.encoded()
    try MILError.writing { () throws(FileError) in
      if !hasWeights { try folder.remove(Self.modelFolder + "/weights") }
      try folder.write(Self.modelFolder + "/model.mlmodel", data)
      try folder.write(Manifest.fileName, Manifest(hasWeights: hasWeights).encoded())
      try folder.finish()
    }
    isFinished = true
  }
}
