import Checkpoints
import Files
import Foundation
import Kernels
import Testing

@Suite struct ScratchFileTests {
  /// Numbers stay what they are when their memory goes, written ones too.
  @Test func numbersComeBack() throws {
    let folder = NSTemporaryDirectory()
    let scratch = try ScratchFile(in: folder)
    let numbers = (0..<100_000).map { Float($0) }
    let (first, second) = (try scratch.keep(Buffer(numbers)), try scratch.keep(Buffer(numbers.reversed())))
    for at in stride(from: 0, to: numbers.count, by: 7) { first.pointer[at] += 0.5 }
    first.letGo()
    second.letGo()
    #expect(first.elements == numbers.enumerated().map { $0 % 7 == 0 ? $1 + 0.5 : $1 })
    #expect(second.elements == numbers.reversed())
  }

  @Test func fewNumbersStayInMemory() throws {
    let few = Buffer([1, 2, 3])
    let kept = try ScratchFile(in: NSTemporaryDirectory()).keep(few)
    #expect(kept === few)
    kept.letGo()
    #expect(kept.elements == [1, 2, 3])
  }

  @Test func noFolder() {
    #expect(throws: FileError.self) { try ScratchFile(in: "/nonexistent/folder") }
  }
}
