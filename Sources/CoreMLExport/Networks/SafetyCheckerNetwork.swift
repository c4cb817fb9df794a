internal import Kernels
internal import Layers
internal import MIL
package import StableDiffusion
internal import Tensors

extension TracedNetwork {
  /// A safety checker with Apple's features: `clip_input` (the normalized picture), `images` (the picture to judge,
  /// channels last) and `adjustment` to `filtered_images`, `has_nsfw_concepts` and `concept_scores`.
  ///
  /// - Parameters:
  ///   - checker: of weights without elements.
  ///   - height: pixels of the picture, as is `width`.
  package static func safetyChecker(
    _ checker: SafetyChecker, height: Int, width: Int
  ) -> TracedNetwork {
    let side = checker.side
    let embedding = Execution.tracing {
      checker.embedding(.placeholder(named: "clip_input", shape: [1, side, side, 3]))
    }
    return TracedNetwork(
      inputs: [
        Input("clip_input", .float16, [1, 3, side, side], description: FeatureText.clipPicture),
        Input(
          "images", .float16, [1, height, width, 3],
          description: FeatureText.decodedPicture(height: height, width: width)),
        Input("adjustment", .float16, [1], description: FeatureText.adjustment),
      ], outputs: [],
      ending: Ending(embedding) { embedding, features, context in
        try context.judgement(checker, of: embedding, features)
      })
  }
}

extension LoweringContext {
  /// Scores of the concepts, whether one of them is above zero, and the picture, black if so.
  ///
  /// - Parameters:
  ///   - embedding: `[1, projection, 1, 1]`
  ///   - features: `images` and `adjustment`
  fileprivate mutating func judgement(
    _ checker: SafetyChecker, of embedding: Operand, _ features: [String: Operand]
  ) throws -> [TracedNetwork.Ending.Feature] {
    guard let images = features["images"], let adjustment = features["adjustment"] else {
      preconditionFailure("a safety checker without pictures")
    }
    let one = [1, 1, 1, 1]
    let length = try emit(
      "reduce_l2_norm", "embedding_length",
      ["x": .value(embedding), "axes": .ints([1]), "keep_dims": .bool(true)], shape: one)
    let direction = try emit(
      "real_div", "embedding_direction", ["x": .value(embedding), "y": .value(length)],
      shape: embedding.shape)
    let special = try excesses(checker.specialCare, of: direction)
    let adjusted = try emit(
      "add", "special_scores", ["x": .value(special), "y": .value(adjustment)], shape: special.shape)
    let extra = try emit(
      "mul", "special_adjustment",
      ["x": .value(try anyPositive(adjusted, "special")), "y": scalar(0.01)], shape: one)
    let concepts = try excesses(checker.concepts, of: direction)
    let scores = try emit(
      "add", "scores", ["x": .value(concepts), "y": .value(extra)], shape: concepts.shape)
    let flag = try anyPositive(scores, "concept")
    let kept = try emit("sub", "kept", ["x": scalar(1), "y": .value(flag)], shape: one)
    let filtered = try emit(
      "mul", "filtered", ["x": .value(images), "y": .value(kept)], shape: images.shape)
    let row = try emit(
      "squeeze", "scores_row", ["x": .value(scores), "axes": .ints([2, 3])],
      shape: [1, concepts.shape[1]])
    return [
      (try single(filtered, "filtered_images"), FeatureText.filteredPicture),
      (try single(flag, "has_nsfw_concepts"), FeatureText.flag),
      (try single(row, "concept_scores"), FeatureText.scores),
    ]
  }

  /// Cosines of a direction with those of the concepts, less their thresholds: `[1, concepts, 1, 1]`.
  private mutating func excesses(
    _ concepts: SafetyChecker.Concepts, of direction: Operand
  ) throws -> Operand {
    let (count, width) = (concepts.directions.shape[0], concepts.directions.shape[1])
    let rows = try elements(concepts.directions.name).elements
    let unit = (0..<count).flatMap { row -> [Float] in
      let values = rows[row * width..<(row + 1) * width]
      let length = values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      return values.map { Float(Double($0) / max(1e-12, length)) }
    }
    let limits = try elements(concepts.thresholds.name).elements.map { -$0 }
    let name = ProgramBuilder.identifier(concepts.directions.name)
    let weight = try constant(name + "_directions", Buffer(unit), shape: [count, width, 1, 1])
    let bias = try constant(name + "_limits", Buffer(limits), shape: [count])
    return try emit(
      "conv", name + "_excesses",
      [
        "x": .value(direction), "weight": .value(weight), "bias": .value(bias),
        "strides": .ints([1, 1]), "pad_type": .text("valid"), "pad": .ints([0, 0, 0, 0]),
        "dilations": .ints([1, 1]), "groups": .int(1),
      ], shape: [1, count, 1, 1])
  }

  /// 1 if one of the scores `[1, concepts, 1, 1]` is above zero, otherwise 0: `[1, 1, 1, 1]`.
  private mutating func anyPositive(_ scores: Operand, _ name: String) throws -> Operand {
    let isAbove = try emit(
      "greater", name + "_is_near", ["x": .value(scores), "y": scalar(0)], shape: scores.shape,
      type: .bool)
    let marks = try emit(
      "cast", name + "_marks",
      ["x": .value(isAbove), "dtype": .text(options.dataType.description)], shape: scores.shape)
    return try emit(
      "reduce_max", name + "_any",
      ["x": .value(marks), "axes": .ints([1]), "keep_dims": .bool(true)], shape: [1, 1, 1, 1])
  }

  /// A value in single precision under a feature's name.
  private mutating func single(_ x: Operand, _ name: String) throws -> Operand {
    try builder.operation(
      "cast", name: name, ["x": .value(x), "dtype": .text("fp32")], .float32, x.shape)
  }
}
