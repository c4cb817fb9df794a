import Foundation
import MIL
import TestSupport
import Testing

/// What a package holds is shown whether it runs here or not.
@Suite struct InspectTests {
  @Test func operationsThatDoNotRun() throws {
    let scratch = try ScratchFolder()
    let path = scratch.file("Recurrent.mlpackage")
    let type = TensorType(.float32, [2, 3])
    let operations = [
      ProgramOperation(
        "const", outputs: [NamedType("weight", .tensor(type))],
        attributes: ["name": Value("weight"), "val": Value(.tensor(type), .floats([1, 2, 3, 4, 5, 6]))]),
      ProgramOperation(
        "lstm", inputs: ["x": [.name("x")], "weight_ih": [.name("weight")]], outputs: [NamedType("y", .tensor(type))],
        attributes: ["name": Value("y")]),
    ]
    let function = Function(
      inputs: [NamedType("x", .tensor(type))], opset: "CoreML6", block: Block(operations: operations, outputs: ["y"]))
    try ModelPackageWriter(path).finish(
      Model(
        specificationVersion: 7, inputs: [Feature("x", type)], outputs: [Feature("y", type)], metadata: Metadata(),
        functions: ["main": function]))
    let result = try Program.run(["inspect", path])
    #expect(result.status == 0, "\(result.errors)")
    for part in [
      "x fp32[2, 3]", "y fp32[2, 3]", "const 1, lstm 1", "weight  2×3  fp32", "does not run here", "lstm 'y'",
    ] {
      #expect(result.output.contains(part), "\(part): \(result.output)")
    }
    let verified = try Program.run(["verify", path])
    #expect(verified.status != 0 && verified.errors.contains("lstm 'y'"), "\(verified.errors)")
  }
}
