import Foundation
import MIL
import TestSupport
import Testing

/// Compiled models of Apple's compiler, and the packages that they were made of.
///
/// `SDTUNE_COMPILED` names a folder with `pairs/NAME/NAME.mlpackage` and `.mlmodelc` and `compiled-only/NAME.mlmodelc`;
/// without it, the one beside this file is used.
@Suite struct CompiledModelTests {
  private static let folder =
    ProcessInfo.processInfo.environment["SDTUNE_COMPILED"]
    ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "CompiledModels").path

  private static func entries(_ name: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(name)")) ?? []).sorted()
      .filter { !$0.hasPrefix(".") }
  }

  static let pairs = entries("pairs")
  static let compiled =
    pairs.map { "pairs/\($0)/\($0).mlmodelc" } + entries("compiled-only").map { "compiled-only/\($0)" }

  @Test func thereAreSome() { #expect(!Self.pairs.isEmpty, "\(Self.folder)") }

  private func pair(_ name: String) throws -> (package: ModelPackage, compiled: ModelPackage) {
    let start = "\(Self.folder)/pairs/\(name)/\(name)"
    return (try ModelPackage(start + ".mlpackage"), try ModelPackage(start + ".mlmodelc"))
  }

  private func text(_ compiled: ModelPackage) throws -> String {
    // One of the samples has a line break at the end, which the compiler does not write.
    try String(contentsOfFile: compiled.path + "/model.mil", encoding: .utf8).trimmingCharacters(in: .newlines)
  }

  /// What the compiler says of itself.
  private func compiler(_ compiled: ModelPackage) throws -> [String: String] {
    let words = try #require(compiled.compiler).split(separator: ", ").map { $0.split(separator: " ", maxSplits: 1) }
    return Dictionary(uniqueKeysWithValues: words.map { (String($0[0]), $0.count > 1 ? String($0[1]) : "") })
  }

  /// The text holds what the package does: program, interface and metadata.
  @Test(arguments: pairs) func holdsThePackage(name: String) throws {
    let (package, compiled) = try pair(name)
    #expect(compiled.isCompiled && !package.isCompiled)
    #expect(compiled.model.functions.keys.sorted() == package.model.functions.keys.sorted())
    for (name, function) in package.model.functions {
      let read = try #require(compiled.model.functions[name])
      #expect(read.inputs == function.inputs && read.opset == function.opset)
      #expect(read.block.outputs == function.block.outputs)
      #expect(read.block.operations.count == function.block.operations.count)
      // One is enough to look at.
      if let (found, expected) = zip(read.block.operations, function.block.operations).first(where: { $0 != $1 }) {
        #expect(found == expected)
      }
    }
    #expect(compiled.model.inputs == package.model.inputs && compiled.model.outputs == package.model.outputs)
    #expect(compiled.model.metadata == package.model.metadata)
    #expect(compiled.model.specificationVersion == package.model.specificationVersion)
  }

  @Test(arguments: pairs) func compilesToTheSameText(name: String) throws {
    let (package, compiled) = try pair(name)
    #expect(try CompiledModelWriter(package, compiler: compiler(compiled)).text() == text(compiled))
  }

  /// Whatever is read is written again as it was.
  @Test(arguments: compiled) func readsItsOwnText(path: String) throws {
    let compiled = try ModelPackage("\(Self.folder)/\(path)")
    #expect(try CompiledModelWriter(compiled, compiler: compiler(compiled)).text() == text(compiled))
  }

  @Test(arguments: pairs) func compilesToTheSameFolder(name: String) throws {
    let (package, compiled) = try pair(name)
    let scratch = try ScratchFolder()
    let path = scratch.file("\(name).mlmodelc")
    try CompiledModelWriter(package, compiler: compiler(compiled)).write(to: path)
    let ours = try ModelPackage(path)
    let isSame = ours.model == compiled.model
    #expect(isSame)
    // Maps have no order; names of classes and digests are those of the source file.
    let (found, expected) = (try metadata(path), try metadata(compiled.path))
    for key in Set(found.keys).union(expected.keys).subtracting(["generatedClassName"]) {
      // Compilers before Xcode 16 know neither.
      if key == "stateSchema", expected[key] == nil { continue }
      var (x, y) = (found[key] as? NSObject, expected[key] as? NSObject)
      if key == "availability", var systems = x as? [String: String], let known = y as? [String: String] {
        systems = systems.filter { known[$0.key] != nil || $0.key != "visionOS" }
        (x, y) = (systems as NSDictionary, known as NSDictionary)
      }
      #expect(x == y, "\(key)")
    }
    let (a, b) = (
      try Data(contentsOf: place(path, "coremldata.bin")), try Data(contentsOf: place(compiled.path, "coremldata.bin"))
    )
    #expect(a.count == b.count && a.prefix(0x53) == b.prefix(0x53) && a.suffix(16) == b.suffix(16))
    for file in try FileManager.default.subpathsOfDirectory(atPath: compiled.path) where file.hasPrefix("weights/") {
      #expect(try Data(contentsOf: place(path, file)) == Data(contentsOf: place(compiled.path, file)), "\(file)")
    }
    let again = try Data(contentsOf: place(path, "metadata.json"))
    try CompiledModelWriter(package, compiler: compiler(compiled)).write(to: path)
    #expect(try Data(contentsOf: place(path, "metadata.json")) == again)
    #expect(try Data(contentsOf: place(path, "coremldata.bin")) == a)
    #expect(try scratch.contents == ["\(name).mlmodelc"])
  }

  private func place(_ folder: String, _ file: String) -> URL { URL(filePath: "\(folder)/\(file)") }

  private func metadata(_ folder: String) throws -> [String: Any] {
    let list =
      try JSONSerialization.jsonObject(with: Data(contentsOf: place(folder, "metadata.json"))) as? [[String: Any]]
    return try #require(list?.first)
  }

  // MARK: Damage

  /// A sound compiled model that may be changed.
  private func copy(_ scratch: ScratchFolder) throws -> String {
    let path = scratch.file("Model.mlmodelc")
    try FileManager.default.copyItem(
      atPath:
        "\(URL(filePath: #filePath).deletingLastPathComponent().path)/CompiledModels/pairs/ios18_two_outputs/ios18_two_outputs.mlmodelc",
      toPath: path)
    return path
  }

  private func refusal(of path: String) -> String {
    do {
      _ = try ModelPackage(path)
      return "none"
    } catch { return "\(error)" }
  }

  private static let header = "program(1.0)\n{\n    func main<ios16>(tensor<fp32, [2]> x) {\n            "
  private static let footer = "\n        } -> (x);\n}"

  /// Line and column of what is wrong.
  @Test(arguments: [
    ("tensor<fp32, [2]> y = relu(x = x)", "5:9: expected ';'"),
    ("tensor<fp32, [2]> y = relu(x = x, x = x);", "4:47: expected each argument once"),
    (
      "tensor<fp32, [2]> y = const()[val = tensor<fp32, [2]>([0x1p+0])];",
      "expected 2 elements, not 1, found '[0x1p+0])];'"
    ),
    (
      "tensor<fp32, [2]> y = const()[val = tensor<fp32, [2]>([one, two])];",
      "4:68: expected a number, found 'one, two])];'"
    ),
    ("int8 y = const()[val = int8(128)];", "expected a whole number of int8, found '128)];'"),
    ("tensor<fp31, [2]> y = relu(x = x);", "4:20: expected a type of elements, found 'fp31"),
    ("tensor<fp32, [99999999999]> y = relu(x = x);", "expected a size from 0 to 1073741824"),
    ("tensor<fp32, [99999999, 99999999]> y = relu(x = x);", "expected a tensor of at most"),
    ("string y = const()[val = string(\"a)];", "expected a closing quote"),
    ("string y = const()[val = string(\"a\\q\")];", "expected one of \\n"),
    ("tensor<fp32, [2]> y = cond(pred = x) { block() };", "operations with blocks, such as loops, are not read"),
    (
      "fp32 y = const()[val = fp32(BLOBFILE(path = string(\"@model_path/w\"), offset = int8(1)))];",
      "expected a uint64, found 'int8(1)"
    ),
    (String(repeating: "tuple<", count: 100_000), "expected a type of fewer levels"),
    (
      "string y = const()[val = string(BLOBFILE(path = " + String(repeating: "string(BLOBFILE(path = ", count: 100_000),
      "expected '\"', found 'BLOBFILE"
    ),
    ("tensor<fp32, [\(Array(repeating: "1", count: 65).joined(separator: ", "))]> y = relu(x = x);", "at most 64 axes"),
    (String(repeating: "n", count: 5000) + " = relu(x = x);", "expected a name of at most 1024 letters"),
  ])
  func brokenText(line: String, expected: String) throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    try Data((Self.header + line + Self.footer).utf8).write(to: place(path, "model.mil"))
    let found = refusal(of: path)
    #expect(found.contains("model.mil:4:") || found.contains("model.mil:5:"), "\(found)")
    #expect(found.contains(expected), "\(found)")
  }

  /// Forms that Apple's parser takes though its compiler does not write them.
  @Test func looseText() throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    let program = """
      program ( 1.3 ) [buildInfo = dict<string, string>({})] {
        func main<ios17>(tensor<fp32,[4]> input) {
          tensor<fp32, [2]> a , tensor<fp32,[2]> b=split(axis = int32(-1), num_splits = int32(2), x = input)[name=string("a\\"b")];
          write_state(data = a, input = b);
          fp16 c = const()[val = fp16(-inf)]; fp32 d = const()[val = fp32(1.5e-1)];
          tensor<uint4, [3]> e = const()[val = tensor<uint4, [3]>([1, 15, 2])];
          tensor<fp32, [0]> f = const()[val = tensor<fp32, [0]>([])];
          tensor<fp32, [4]> mask = concat(values = (a, b)); tensor<fp16, [4]> rounded = cast(x = mask);
        } -> (mask, rounded);
      }
      """
    try Data(program.utf8).write(to: place(path, "model.mil"))
    let operations = try #require(ModelPackage(path).model.functions["main"]).block.operations
    #expect(operations.map(\.type) == ["split", "write_state", "const", "const", "const", "const", "concat", "cast"])
    #expect(operations[0].attributes["name"] == Value("a\"b"))
    #expect(operations[1].outputs.isEmpty)
    #expect(operations[2].attributes["val"]?.content == .bytes(Data([0x00, 0xFC])))
    #expect(operations[3].attributes["val"]?.content == .floats([0.15]))
    #expect(operations[4].attributes["val"]?.content == .bytes(Data([0xF1, 0x02])))
    #expect(operations[6].inputs["values"] == [.name("a"), .name("b")])
  }

  /// The beginning of a description of a kind, with a specification version, up to where its length stands.
  private static func description(kind: UInt16) -> Data {
    var data = Data(count: 0x4B)
    (data[0], data[1], data[0x2B]) = (UInt8(kind & 255), UInt8(kind >> 8), 7)
    return data
  }

  private static let descriptions: [(Data, String)] = [
    (description(kind: 202) + Data(count: 29), "a compiled pipeline"),
    (description(kind: 500) + Data(count: 29), "a compiled neural network"),
    (description(kind: 502).prefix(4), "expected at least 83 bytes, found 4"),
    (description(kind: 502) + Data([0xFF, 0, 0, 0, 0, 0, 0, 0x80]), "expected a description of"),
    (Data("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n".utf8), "git lfs pull"),
  ]

  /// Kinds of models that are no programs, and files that are cut off or something else.
  @Test(arguments: descriptions)
  func brokenDescription(contents: Data, expected: String) throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    try contents.write(to: place(path, "coremldata.bin"))
    #expect(refusal(of: path).contains(expected), "\(refusal(of: path))")
  }

  /// Nothing outside the folder is opened.
  @Test(arguments: ["../weight.bin", "/etc/passwd"]) func escapes(name: String) throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    try scratch.write("weight.bin", Data(count: 4096))
    let line =
      "tensor<fp32, [16]> y = const()[val = tensor<fp32, [16]>(BLOBFILE(path = tensor<string, []>(\"@model_path/\(name)\"), offset = tensor<uint64, []>(64)))];"
    try Data((Self.header + line + Self.footer).utf8).write(to: place(path, "model.mil"))
    #expect(refusal(of: path).contains("may leave the package"), "\(refusal(of: path))")
  }

  /// Programs that cannot be spelt, or that would read as something else.
  @Test(arguments: [
    (TensorType(.float32, [nil, nil]), Value.Content.floats([1, 2])), (TensorType(.float32, [1 << 30]), .floats([1])),
    (TensorType(.int32, [1]), .floats([1.5])), (TensorType(.bool, [1]), .ints([1])),
    (TensorType(.float32, [1]), .strings(["a"])),
    (TensorType(.int4, [1]), .ints([99])), (TensorType(.float16, [1]), .floats([0.1])),
    (TensorType(.string, []), .strings(["a\"\u{301}b"])), (TensorType(.string, []), .strings(["a\r\nb"])),
    (TensorType(.float32, [2]), .floats([1, 2, 3])),
  ])
  func unwritable(type: TensorType, content: Value.Content) throws {
    let scratch = try ScratchFolder()
    let error = #expect(throws: MILError.self) {
      try CompiledModelWriter(package(type, content, scratch)).write(to: scratch.file("b.mlmodelc"))
    }
    #expect("\(error as Any)".contains("cannot be compiled"), "\(error as Any)")
    #expect(!FileManager.default.fileExists(atPath: scratch.file("b.mlmodelc")))
  }

  private func package(_ type: TensorType, _ content: Value.Content, _ scratch: ScratchFolder) throws -> ModelPackage {
    let y = TensorType(.float32, [1])
    let operations = [
      ProgramOperation(
        "const", outputs: [NamedType("c", .tensor(type))], attributes: ["val": Value(.tensor(type), content)]),
      ProgramOperation("relu", inputs: ["x": [.name("x")]], outputs: [NamedType("y", .tensor(y))]),
    ]
    let function = Function(
      inputs: [NamedType("x", .tensor(y))], opset: "CoreML6", block: Block(operations: operations, outputs: ["y"]))
    try ModelPackageWriter(scratch.file("a.mlpackage")).finish(
      Model(
        specificationVersion: 7, inputs: [Feature("x", y)], outputs: [Feature("y", y)], metadata: Metadata(),
        functions: ["main": function]))
    return try ModelPackage(scratch.file("a.mlpackage"))
  }

  /// One size that is not known can be counted.
  @Test func unknownSize() throws {
    let scratch = try ScratchFolder()
    let text = try CompiledModelWriter(package(TensorType(.int32, [nil, 2]), .ints([1, 2, 3, 4]), scratch)).text()
    #expect(text.contains("tensor<int32, [?, 2]>([[1, 2], [3, 4]])"), "\(text)")
  }

  /// What is read and yet not as Apple's compiler writes it.
  @Test func doubts() throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    #expect(try ModelPackage(path).doubts.isEmpty)
    let file = place(path, "coremldata.bin")
    let bytes = try Data(contentsOf: file)
    try bytes.dropLast(16).write(to: file)
    #expect(try ModelPackage(path).doubts.count == 1)
    var other = bytes
    other[4] = 8
    try other.write(to: file)
    #expect(try ModelPackage(path).doubts.count == 1)
    try bytes.write(to: file)
    let text = try String(contentsOf: place(path, "model.mil"), encoding: .utf8)
    try Data(text.replacing("program(1.3)", with: "program(1.0)").utf8).write(to: place(path, "model.mil"))
    #expect(try ModelPackage(path).doubts.count == 1)
  }

  /// A folder with anything else in it is not replaced.
  @Test func keepsWhatItDoesNotKnow() throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    try Data().write(to: place(path, "notes"))
    let package = try package(TensorType(.float32, [1]), .floats([1]), scratch)
    #expect(throws: MILError.self) { try CompiledModelWriter(package).write(to: path) }
    try FileManager.default.removeItem(at: place(path, "notes"))
    try CompiledModelWriter(package).write(to: path)
    #expect(try ModelPackage(path).model.functions["main"]?.block.operations.count == 2)
  }

  @Test func compilesOnce() throws {
    let scratch = try ScratchFolder()
    let path = try copy(scratch)
    #expect(throws: MILError.self) { try CompiledModelWriter(ModelPackage(path)).write(to: scratch.file("b.mlmodelc")) }
    // Nothing but a compiled model is replaced.
    let package = try ModelPackage(
      "\(URL(filePath: #filePath).deletingLastPathComponent().path)/CompiledModels/pairs/ios18_two_outputs/ios18_two_outputs.mlpackage"
    )
    #expect(throws: MILError.self) { try CompiledModelWriter(package).write(to: scratch.path) }
  }
}
