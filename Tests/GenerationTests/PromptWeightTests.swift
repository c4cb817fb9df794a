import Generation
import Testing

/// The notation of prompt weights.
@Suite struct PromptWeightTests {
  @Test func bracketsMultiply() throws {
    let prompt = try WeightedPrompt(weighted: "a (red:1.5) heart, ((big)), [dull] \\(plain\\)")
    let expected: [(String, Double)] = [
      ("a ", 1), ("red", 1.5), (" heart, ", 1), ("big", 1.21), (", ", 1), ("dull", 1 / 1.1),
      (" (plain)", 1),
    ]
    #expect(prompt.parts.map(\.text) == expected.map(\.0))
    for (part, (_, weight)) in zip(prompt.parts, expected) {
      #expect(abs(part.weight - weight) < 1e-9, "\(part)")
    }
    #expect(try WeightedPrompt(weighted: "").parts == [.init(text: "", weight: 1)])
    #expect(try WeightedPrompt(weighted: "((a:2) b)").parts.map(\.weight) == [2.2, 1.1])
  }

  @Test(arguments: ["(a", "a)", "[a)", "(a:b)", "(a:11)", "(a:-1)"])
  func refuses(text: String) {
    #expect(throws: GenerationError.self) { try WeightedPrompt(weighted: text) }
  }
}
