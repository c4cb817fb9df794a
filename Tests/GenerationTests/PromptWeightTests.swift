import Generation
import Testing

/// The notation of prompt weights.
@Suite struct PromptWeightTests {
  @Test func bracketsMultiply() {
    let prompt = WeightedPrompt(weighted: "a (red:1.5) heart, ((big)), [dull] \\(plain\\)")
    expect(
      prompt,
      [
        ("a ", 1), ("red", 1.5), (" heart, ", 1), ("big", 1.21), (", ", 1), ("dull", 1 / 1.1),
        (" (plain)", 1),
      ])
    #expect(WeightedPrompt(weighted: "").parts == [.init(text: "", weight: 1)])
    #expect(WeightedPrompt(weighted: "((a:2) b)").parts.map(\.weight) == [2.2, 1.1])
  }

  /// What AUTOMATIC1111's `parse_prompt_attention` gives.
  @Test func halfABracketIsRead() {
    expect(WeightedPrompt(weighted: "a (red heart"), [("a ", 1), ("red heart", 1.1)])
    expect(WeightedPrompt(weighted: "a red) heart"), [("a red) heart", 1)])
    expect(WeightedPrompt(weighted: "(red:)"), [("red:", 1.1)])
    expect(WeightedPrompt(weighted: "(time: 10 am)"), [("time: 10 am", 1.1)])
    expect(WeightedPrompt(weighted: "(red:-1)"), [("red", -1)])
    expect(WeightedPrompt(weighted: "[[heart"), [("heart", 1 / 1.21)])
    expect(WeightedPrompt(weighted: "(a:11)"), [("a", 11)])
  }

  @Test func whatIsNotBuiltIsNamed() {
    #expect(WeightedPrompt(weighted: "a red BREAK heart").plainlyRead == ["BREAK"])
    #expect(WeightedPrompt(weighted: "a [red:blue:0.5] heart").plainlyRead == ["[red:blue:0.5]"])
    #expect(WeightedPrompt(weighted: "a heart <lora:style:0.8>").plainlyRead == ["<lora:style:0.8>"])
    #expect(WeightedPrompt(weighted: "breakfast [dull]").plainlyRead.isEmpty)
  }

  private func expect(_ prompt: WeightedPrompt, _ expected: [(String, Double)]) {
    #expect(prompt.parts.map(\.text) == expected.map(\.0))
    for (part, (_, weight)) in zip(prompt.parts, expected) {
      #expect(abs(part.weight - weight) < 1e-9, "\(part)")
    }
  }
}
