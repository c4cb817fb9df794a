import Foundation
import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// Programs that are wrong are refused when they are loaded, with one line that says where and why.
@Suite struct RefusalTests {
  /// Loads a program of one operation.
  private func load(
    _ type: String, _ arguments: [String: OperationInput], _ dataType: DataType = .float32,
    _ shape: [Int] = [2, 3]
  ) throws -> PackageModel {
    let scratch = try ScratchFolder()
    let package = scratch.file("a.mlpackage")
    let writer = try ModelPackageWriter(package)
    let program = ProgramBuilder(target: .iOS18, weights: writer.weights)
    let x = program.input("x", .float32, [2, 3])
    var arguments = arguments
    arguments["x"] = arguments["x"] ?? .value(x)
    program.output(try program.operation(type, name: "y", arguments, dataType, shape))
    try writer.finish(program.model())
    return try PackageModel(path: package)
  }

  private func refusal(_ body: () throws -> PackageModel) -> String {
    do {
      _ = try body()
      return "accepted"
    } catch {
      let line = "\(error)"
      return String(line[(line.range(of: "a.mlpackage: ")?.upperBound ?? line.startIndex)...])
    }
  }

  @Test func unknownOperation() {
    #expect(
      refusal { try load("softmaxx", [:]) }
        == "softmaxx 'y': this operation is not implemented; the nearest that is: softmax")
  }

  @Test func unknownArgument() {
    #expect(
      refusal { try load("relu", ["alpha": .single(1)]) }
        == "relu 'y': argument 'alpha': expected one of x, found an unknown name")
  }

  @Test func missingArgument() {
    #expect(
      refusal { try load("transpose", [:]) }
        == "transpose 'y': argument 'perm': expected a value, found none")
  }

  @Test func wrongKind() {
    #expect(
      refusal { try load("softmax", ["axis": .text("last")]) }
        == "softmax 'y': argument 'axis': expected integers, found string[]")
  }

  @Test func wrongAxis() {
    #expect(
      refusal { try load("softmax", ["axis": .int(2)]) }
        == "softmax 'y': argument 'axis': expected an axis of 2, found 2")
  }

  @Test func wrongDeclaration() {
    #expect(
      refusal { try load("relu", [:], .float32, [3, 2]) }
        == "relu 'y': declared fp32[3, 2], but the operation gives fp32[2, 3]")
    #expect(
      refusal { try load("relu", [:], .float16) }
        == "relu 'y': declared fp16[2, 3], but the operation gives fp32[2, 3]")
  }

  @Test func absurdSize() {
    #expect(
      refusal {
        try load("tile", ["reps": .ints([1 << 30, 1 << 30])], .float32, [1 << 15, 1 << 15])
      }.contains("is more than"))
    #expect(
      refusal { try load("fill_like", ["x": .ints([1])]) }
        == "fill_like 'y': argument 'x': expected one of ref_tensor, value, found an unknown name")
  }

  @Test func wrongInputs() throws {
    let model = try load("relu", [:])
    let right = NamedTensor(shape: [2, 3], elements: Buffer([1, -1, 2, -2, 3, -3]))
    let wrong = NamedTensor(shape: [6], elements: right.elements)
    #expect(try model.run(inputs: ["x": right])["y"]?.elements.elements == [1, 0, 2, 0, 3, 0])
    #expect(throws: MILError.self) { try model.run(inputs: [:]) }
    #expect(throws: MILError.self) { try model.run(inputs: ["x": wrong]) }
    #expect(throws: MILError.self) { try model.run(inputs: ["x": right, "z": right]) }
  }

  /// One model on two threads at once gives what it gives alone.
  @Test func runsTwiceAtOnce() throws {
    let folder = try #require(Bundle.module.resourcePath) + "/Packages/"
    let model = try PackageModel(path: folder + "big_unet_split_einsum_v2_pal4.mlpackage")
    let inputs = try TensorFile(folder + "big_unet_split_einsum_v2_pal4.io.safetensors")
      .group("in.")
    let alone = try model.run(inputs: inputs)["noise_pred"]?.elements.elements
    Parallel.forEach(2) { _ in
      #expect(throws: Never.self) {
        let result = try model.run(inputs: inputs)["noise_pred"]?.elements.elements
        #expect(result == alone)
      }
    }
  }
}
