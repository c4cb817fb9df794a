import Foundation
import Recipes
import Testing

/// A document as recipes are: nested, with defaults, an optional, a list and choices.
private struct Sample: Codable, Equatable {
  enum Loss: String, Choice { case distillation, diffusion }
  enum Plain: String, Codable { case a, b }

  struct Layer: Codable, Equatable {
    var match: String
    var bits: Int
  }

  struct Training: Codable, Equatable {
    var steps: Int
    var learningRate: Double
    var loss: Loss
    var plain: Plain
    var seed: UInt64
    var note: String?
    var exact: Bool

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      steps = try values.decode(Int.self, forKey: .steps)
      learningRate = try values.decodeIfPresent(Double.self, forKey: .learningRate) ?? 0.5
      loss = try values.decodeIfPresent(Loss.self, forKey: .loss) ?? .distillation
      plain = try values.decodeIfPresent(Plain.self, forKey: .plain) ?? .a
      seed = try values.decodeIfPresent(UInt64.self, forKey: .seed) ?? 0
      note = try values.decodeIfPresent(String.self, forKey: .note)
      exact = try values.decodeIfPresent(Bool.self, forKey: .exact) ?? false
    }
  }

  var training: Training
  var layers: [Layer]
}

private func decode(_ json: String) throws -> Sample {
  try StrictDecoding.decode(Sample.self, from: Data(json.utf8), file: "r.json")
}

private func message(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}

@Suite struct StrictDecodingTests {
  @Test func defaults() throws {
    let sample = try decode("{\"training\": {\"steps\": 3, \"note\": null}, \"layers\": []}")
    #expect(sample.training.steps == 3)
    #expect(sample.training.learningRate == 0.5)
    #expect(sample.training.note == nil)
    #expect(try decode("{\"training\": {\"steps\": 3}, \"layers\": []}") == sample)
    let seed = try decode(
      "{\"training\": {\"steps\": 3, \"seed\": 18446744073709551615}, \"layers\": []}")
    #expect(seed.training.seed == .max)
  }

  @Test(arguments: [
    (
      "{\"training\": {\"steps\": 3, \"learningrate\": 1}, \"layers\": []}",
      "r.json: training.learningrate: unknown key; did you mean training.learningRate?"
    ),
    (
      "{\"training\": {\"steps\": 3, \"stpes\": 1}, \"layers\": []}",
      "r.json: training.stpes: unknown key; did you mean training.steps?"
    ),
    (
      "{\"training\": {\"stpes\": 3}, \"layers\": []}",
      "r.json: training.steps: missing; is training.stpes meant to be it?"
    ),
    (
      "{\"training\": {\"steps\": 3}, \"layers\": [], \"learningRate\": 1}",
      "r.json: learningRate: unknown key; did you mean training.learningRate?"
    ),
    (
      "{\"training\": {\"steps\": 3}, \"layers\": [], \"nothingLikeIt\": 1}",
      "r.json: nothingLikeIt: unknown key"
    ),
    (
      "{\"training\": {\"steps\": 3}, \"layers\": [{\"match\": \"x\", \"bits\": 2, \"bit\": 1}]}",
      "r.json: layers[0].bit: unknown key; did you mean layers[0].bits?"
    ),
    ("{\"training\": {\"steps\": 3}}", "r.json: layers: missing"),
    ("{\"layers\": []}", "r.json: training: missing"),
    (
      "{\"training\": {\"steps\": \"many\"}, \"layers\": []}",
      "r.json: training.steps: expected a whole number, found 'many'"
    ),
    (
      "{\"training\": {\"steps\": 1.5}, \"layers\": []}",
      "r.json: training.steps: expected a whole number, found 1.5"
    ),
    (
      "{\"training\": {\"steps\": null}, \"layers\": []}",
      "r.json: training.steps: expected a whole number, found null"
    ),
    (
      "{\"training\": {\"steps\": 3, \"learningRate\": []}, \"layers\": []}",
      "r.json: training.learningRate: expected a number, found a list"
    ),
    (
      "{\"training\": {\"steps\": 3, \"exact\": 1}, \"layers\": []}",
      "r.json: training.exact: expected true or false, found 1"
    ),
    (
      "{\"training\": {\"steps\": 3, \"note\": 1}, \"layers\": []}",
      "r.json: training.note: expected a string, found 1"
    ),
    (
      "{\"training\": {\"steps\": 3}, \"layers\": {}}",
      "r.json: layers: expected a list, found an object"
    ),
    (
      "{\"training\": [], \"layers\": []}",
      "r.json: training: expected an object, found a list"
    ),
    ("7", "r.json: the document: expected an object, found 7"),
    (
      "{\"training\": {\"steps\": 3}, \"layers\": [{\"match\": \"x\", \"bits\": true}]}",
      "r.json: layers[0].bits: expected a whole number, found true"
    ),
    (
      "{\"training\": {\"steps\": 3, \"loss\": \"difusion\"}, \"layers\": []}",
      "training.loss: expected distillation or diffusion, "
        + "found 'difusion'; did you mean diffusion?"
    ),
    (
      "{\"training\": {\"steps\": 3, \"plain\": \"c\"}, \"layers\": []}",
      "r.json: training.plain: expected a known value, found 'c'"
    ),
    (
      "{\"training\": {\"steps\": 3, \"st\\u0065ps\": 4}, \"layers\": []}",
      "r.json: line 1, column 27: expected 'steps' only once"
    ),
    (
      "{\"training\": {\"steps\": 3}, \"layers\": [[], {\"a\": \"\\\",:\", \"a\": 4}]}",
      "r.json: line 1, column 57: expected 'a' only once"
    ),
  ])
  func refusals(json: String, expected: String) {
    #expect(message { _ = try decode(json) } == expected)
  }

  @Test(arguments: [
    ("", "line 1, column 1: expected a value"),
    ("{\n  \"training\": {\n    \"steps\" 3\n  }\n}", "line 3, column 13: expected ':'"),
    ("{\"a\": 1,\n}", "line 2, column 1: expected a key in quotes"),
    ("[1, 2", "line 1, column 6: expected ']'"),
    ("{} {}", "line 1, column 4: expected the end of the text"),
    (String(repeating: "[", count: 99), "line 1, column 17: expected at most 16 levels"),
  ])
  func syntax(json: String, expected: String) {
    #expect(message { _ = try decode(json) } == "r.json: " + expected)
  }

  @Test func numbersThatDoNotFit() {
    let json = "{\"training\": {\"steps\": 3, \"seed\": -1}, \"layers\": []}"
    #expect(
      message { _ = try decode(json) }
        == "r.json: training.seed: expected a number in range, found -1")
  }
}

@Suite struct SettingsTests {
  private func setting(_ assignments: String...) throws -> Sample {
    let json = "{\"training\": {\"steps\": 3}, \"layers\": [{\"match\": \"x\", \"bits\": 2}]}"
    return try StrictDecoding.decode(
      Sample.self, from: try StrictDecoding.setting(assignments, in: Data(json.utf8)),
      file: "r.json")
  }

  @Test func values() throws {
    let sample = try setting(
      "training.steps=7", "training.note=two words", "training.learningRate=1e-3",
      "training.exact=true", "layers.0.bits=4", "training.seed=18446744073709551615",
      "training.steps=8")
    #expect(sample.training.steps == 8)
    #expect(sample.training.note == "two words")
    #expect(sample.training.learningRate == 1e-3)
    #expect(sample.training.exact)
    #expect(sample.layers[0].bits == 4)
    #expect(sample.training.seed == .max)
    #expect(try setting("training.note=\"7\"").training.note == "7")
    #expect(try setting("training.note=a=b").training.note == "a=b")
    #expect(try setting("layers=[]").layers.isEmpty)
  }

  @Test(arguments: [
    ("training.steps", "--set training.steps: expected key.path=value"),
    ("=3", "--set =3: expected key.path=value"),
    ("training..steps=3", "--set training..steps=3: expected key.path=value"),
    (
      "training.steps.x=3",
      "--set training.steps.x=3: expected an object to hold 'x', not 3"
    ),
    ("layers.1.bits=3", "--set layers.1.bits=3: expected the number of one of 1 elements, not '1'"),
    (
      "training.stepz=3",
      "r.json: training.stepz: unknown key; did you mean training.steps?"
    ),
    ("trainin.steps=3", "r.json: trainin: unknown key; did you mean training?"),
    (
      "training.steps=many",
      "r.json: training.steps: expected a whole number, found 'many'"
    ),
  ])
  func refusals(assignment: String, expected: String) {
    #expect(message { _ = try setting(assignment) } == expected)
  }
}
