internal import Digests
internal import Files
internal import Foundation
internal import Kernels

/// Makes of a package the folder `.mlmodelc` that applications load, as Apple's `coremlcompiler` does: nothing is computed,
/// the program is written as text and the weights are copied.
package struct CompiledModelWriter {
  /// What `buildInfo` says of who compiled the program; Core ML looks at neither.
  package static let compiler = ["coremlc-component-MIL": "sdtune", "coremlc-version": "1"]

  private let package: ModelPackage
  private let compiler: [String: String]

  package init(_ package: ModelPackage, compiler: [String: String] = CompiledModelWriter.compiler) {
    self.package = package
    self.compiler = compiler
  }

  /// The text of `model.mil`.
  package func text() throws(MILError) -> String {
    var ranges: [String: [FlexibleInput]] = [:]
    for name in package.model.functions.keys {
      ranges[name] = try FlexibleInput.list(package.interface.features(of: name), package: package.path)
    }
    return try ProgramTextWriter.text(
      of: package.model, compiler: compiler, ranges: ranges, origin: package.path)
  }

  /// Writes the folder, replacing a compiled model that is there.
  ///
  /// - Throws: of a model that is compiled already, too.
  package func write(to path: String) throws(MILError) {
    guard !package.isCompiled else {
      throw .file(path: package.path, reason: "it is compiled already; packages (.mlpackage) are compiled")
    }
    let model = package.model
    try package.checkContent()
    try checkInterface()
    let text = try text()
    // Whatever was written can be read.
    var reader = ProgramTextReader([UInt8](text.utf8), file: "\(package.path), compiled")
    _ = try reader.program()
    let name = ((package.path as NSString).lastPathComponent as NSString).deletingPathExtension
    let metadata = CompiledMetadata(model, package.interface, name: name).encoded()
    let description = try CompiledDescription(
      specificationVersion: model.specificationVersion, description: package.interface
    ).encoded(functions: model.functions.count)
    let weights = try copiedWeights()
    try MILError.writing { () throws(FileError) in
      let folder = try StagedFolder(path, kind: "compiled model") { items in
        items.contains(CompiledDescription.fileName) && Self.knownItems.isSuperset(of: items)
      }
      try folder.createFolder("analytics")
      try folder.write(ModelPackage.textFile, Data(text.utf8))
      try folder.write(CompiledDescription.fileName, description)
      try folder.write(CompiledMetadata.fileName, metadata)
      try folder.write("analytics/" + CompiledDescription.fileName, analytics())
      for (name, source) in weights {
        try folder.createFolder((name as NSString).deletingLastPathComponent)
        try FileCopy.copy(source, to: "\(folder.temporary)/\(name)")
      }
      try folder.finish()
    }
  }

  /// The weight files' names in the folder, and where they are copied from.
  private func copiedWeights() throws(MILError) -> [(name: String, source: String)] {
    try weightFiles.sorted().map { (file) throws(MILError) in
      let name = String(file.dropFirst(ModelPackage.weightPrefix.count))
      guard let top = name.split(separator: "/").first.map(String.init), top != Manifest.fileName,
        top == "weights" || !Self.knownItems.contains(top)
      else {
        throw .file(
          path: package.path, reason: "a weight file is called \(name), as another file of a compiled model is")
      }
      return (name, try package.place(ofWeightFile: file))
    }
  }

  /// What Apple's compiler writes, and the Finder.
  private static let knownItems: Set = [
    CompiledDescription.fileName, CompiledMetadata.fileName, ModelPackage.textFile, "analytics", "weights", ".DS_Store",
  ]

  /// What an application is told must be what the program takes and gives.
  private func checkInterface() throws(MILError) {
    let model = package.model
    guard model.functions[model.defaultFunction] != nil else {
      throw .model(
        package: package.path, expected: "a function '\(model.defaultFunction)'",
        found: "\(model.functions.keys.sorted())")
    }
    for (name, function) in model.functions.sorted(by: { $0.key < $1.key }) {
      let interface = model.interface(of: name)
      for (kind, described, present) in [
        ("inputs", interface.inputs.map(\.name), function.inputs.filter { $0.type.tensor != nil }.map(\.name)),
        ("outputs", interface.outputs.map(\.name), function.block.outputs),
      ]
      where Set(described) != Set(present) || Set(present).count != present.count
        || kind == "outputs" && present.isEmpty
      {
        throw .model(
          package: package.path, expected: "\(kind) \(present) of function '\(name)' in the description, each once",
          found: "\(described)")
      }
    }
  }

  /// Weight files that the program names.
  private var weightFiles: Set<String> {
    var names: Set<String> = []
    for value in package.model.functions.values.flatMap(\.block.operations).flatMap(\.values) {
      if case .blob(let file, _) = value.content { names.insert(file) }
    }
    return names
  }

  /// The source's digest, in sections of strings with their lengths in front.
  private func analytics() throws(FileError) -> Data {
    let file = try MappedFile.open(package.modelFile)
    let digest = SHA256.of(file.data(0..<file.count))
    var data = Data()
    func append(_ text: String) {
      data.append(littleEndian: UInt64(text.utf8.count))
      data.append(Data(text.utf8))
    }
    for (section, entries) in [
      ("NeuralNetworkModelDetails", [("containsCustomLayer", "0"), ("modelDimension", "0")]),
      ("SpecificationDetails", [("modelHash", Data(digest).base64EncodedString()), ("modelName", "model")]),
    ] {
      append(section)
      data.append(littleEndian: UInt64(entries.count))
      for (key, value) in entries {
        append(key)
        append(value)
      }
    }
    return data
  }
}
