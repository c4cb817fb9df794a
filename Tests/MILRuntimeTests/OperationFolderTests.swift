import Foundation
import Kernels
import MIL
import MILRuntime
import Testing

/// Packages of single operations with inputs and expected outputs: what runs gives the right values, what does not is
/// refused by one line.
///
/// `SDTUNE_OPERATIONS` names the folder, in the form of `PackageSet`'s; without it, the sample packages are used.
@Suite(.serialized) struct OperationFolderTests {
  static let folder = ProcessInfo.processInfo.environment["SDTUNE_OPERATIONS"] ?? PackageSet.folder
  static let cases = PackageSet.cases(in: folder)

  @Test func thereAreSome() { #expect(!Self.cases.isEmpty, "no packages in \(Self.folder)") }

  /// Bounds are parts of the largest expected value: 1e-4 in single precision, 1e-2 in half.
  @Test func allAreRightOrRefused() throws {
    var (right, refused) = (0, [String: [String]]())
    for item in Self.cases {
      let file = try TensorFile(item.references)
      let results: [String: NamedTensor]
      let model: PackageModel
      do throws(MILError) {
        model = try PackageModel(path: item.package)
        results = try model.run(inputs: file.group("in."))
      } catch {
        let line = "\(error)"
        #expect(!line.contains("\n"), "\(item)")
        refused[Self.kind(of: line, item), default: []].append(item.name)
        continue
      }
      let isHalf = try ModelPackage(item.package).model.functions.values.contains { function in
        function.block.operations.contains { $0.outputs.contains { $0.type.tensor?.dataType == .float16 } }
      }
      var isRight = true
      for (name, expected) in file.group("out.") {
        let bound = isHalf ? 1e-2 : 1e-4
        guard let found = results[name], found.elements.count == expected.elements.count else {
          Issue.record("\(item): no result '\(name)' of \(expected.shape)")
          isRight = false
          continue
        }
        let error = Self.error(found.elements.elements, expected.elements.elements)
        if !(error <= bound) {
          isRight = false
          Issue.record("\(item): '\(name)' is off by \(error) of the largest value, more than \(bound)")
        }
      }
      right += isRight ? 1 : 0
    }
    print("operations: \(right) of \(Self.cases.count) right, \(refused.values.joined().count) refused")
    for (reason, names) in refused.sorted(by: { $0.value.count > $1.value.count }) {
      print("  \(names.count) × \(reason), such as \(names[0])")
    }
    #expect(right > 0)
  }

  /// A refusal without the package's name and the value's.
  private static func kind(of line: String, _ item: PackageSet.Case) -> String {
    line.replacingOccurrences(of: item.package, with: "").replacing(/'[^']*'/, with: "…").trimmingPrefix(": ")
      .prefix(120).description
  }

  /// The largest difference in parts of the largest expected value; infinities and no numbers must be the same.
  private static func error(_ found: [Float], _ expected: [Float]) -> Double {
    let peak = expected.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
    return zip(found, expected).reduce(0) { worst, pair in
      let (x, y) = pair
      if x == y || (x.isNaN && y.isNaN) { return worst }
      let difference = Double(abs(x - y)) / Double(max(peak, 1e-6))
      return difference.isNaN ? .infinity : max(worst, difference)
    }
  }
}
