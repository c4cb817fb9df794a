import Checkpoints
import Foundation
import Kernels
import Recipes
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training

/// Which samples a step sees, and with what captions.
@Suite struct SampleTests {
  /// A dataset of two sizes, whose latents tell the sample's number.
  private func dataset(_ counts: [Int], repeats: Int = 1) -> LatentDataset {
    let total = counts.reduce(0, +)
    var first = 0
    let sizes = counts.enumerated().map { index, count -> LatentDataset.Size in
      defer { first += count }
      let samples = (0..<count).map { number in
        LatentDataset.Sample(
          rows: Int32(number)..<Int32(number + 1), captions: Int32(first + number)..<Int32(first + number + 1),
          original: SIMD2(640, 480))
      }
      let drawn = (0..<count).flatMap { [Int32](repeating: Int32($0), count: repeats) }
      return LatentDataset.Size(shape: [1, 2, 2 + index], samples: samples, drawn: drawn, crops: [])
    }
    let captions = Captions([(numbers: (0..<total).map { $0 + 10 }, empty: [0])])
    return LatentDataset(sizes, captions, Numbers(), name: "numbers", magnification: 8)
  }

  private struct Numbers: LatentRows {
    func row(_ size: Int, _ row: Int) -> (mean: Buffer, deviation: Buffer?) {
      (Buffer(repeating: Float(100 * size + row), count: 2 * (2 + size)), nil)
    }
  }

  private func training(_ order: String, batch: Int) throws -> TrainingRecipe {
    let json = #"{"steps": 1, "batchSize": \#(batch), "order": "\#(order)", "emptyPrompts": 0}"#
    return try JSONDecoder().decode(TrainingRecipe.self, from: Data(json.utf8))
  }

  @Test func everyEpochHasEverySampleOnce() throws {
    let dataset = dataset([7, 5])
    let order = SampleOrder(dataset, try training("epochs", batch: 2), seed: 3)
    var random = CounterGenerator(seed: 0, stream: 0, step: 0)
    // 4 batches of the first size, 3 of the second; the last of each is filled up.
    var orders: [[[Int]]] = []
    for epoch in 0..<2 {
      let batches = (0..<7).map { order.batch(7 * epoch + $0, &random) }
      for (size, count) in [7, 5].enumerated() {
        let seen = batches.filter { $0.size == size }.flatMap(\.samples)
        #expect(Set(seen) == Set(0..<count) && seen.count == count + 1)
      }
      orders.append(batches.map(\.samples))
    }
    #expect(orders[0] != orders[1])
    // A function of the step alone, whatever was asked before.
    #expect(order.batch(2, &random).samples == orders[0][2])
  }

  @Test func sizesAreDrawnInProportion() throws {
    let source = BatchSource(dataset([30, 10]), try training("independent", batch: 2), try schedule(), seed: 1)
    let second = try (0..<2000).count { try source.batch(of: $0).noisy.shape[2] == 3 }
    // A quarter; five standard deviations of a binomial.
    #expect(abs(Double(second) / 2000 - 0.25) < 5 * (0.25 * 0.75 / 2000).squareRoot())
  }

  /// Every picture with its prompt and without, at one timestep and with one noise.
  @Test func guidedPicturesAreAskedTwice() throws {
    var training = try training("independent", batch: 4)
    (training.guidance.share, training.guidance.least, training.guidance.most) = (0.5, 2, 3)
    let batch = try BatchSource(dataset([9]), training, schedule(), seed: 1).batch(of: 0)
    let guidance = try #require(batch.guidance)
    #expect(guidance.count == 4 && guidance.allSatisfy { (2...3).contains($0) } && Set(guidance).count == 4)
    #expect(batch.noisy.shape[0] == 8 && batch.prompts.prefix(4).allSatisfy { $0 != .empty })
    #expect(batch.prompts.suffix(4).allSatisfy { $0 == .empty })
    for tensor in [batch.noisy, batch.timesteps, batch.target] {
      #expect(tensor.rows([0, 1, 2, 3]).elements == tensor.rows([4, 5, 6, 7]).elements)
    }
    let share = batch.share(1, of: 2)
    #expect(share.guidance == Array(guidance.suffix(2)))
    #expect(share.noisy.elements == batch.noisy.rows([2, 3, 6, 7]).elements)
    #expect(share.prompts == [batch.prompts[2], batch.prompts[3], .empty, .empty])
  }

  @Test func pictureSizesAreTold() throws {
    let batch = try BatchSource(dataset([3]), training("independent", batch: 2), schedule(), seed: 1).batch(of: 0)
    #expect(batch.sizes == [[480, 640, 0, 0, 16, 16], [480, 640, 0, 0, 16, 16]])
  }

  @Test func latentsThatAreNoNumbersAreRefused() throws {
    let latents = Tensor([2, 1, 1, 1], [1, .nan])
    let dataset = LatentDataset(dataset([2]), latents: latents)
    #expect(throws: TrainingError.self) { try dataset.all() }
    #expect(throws: TrainingError.self) {
      try dataset.latents(.init(size: 0, rows: [1])) { [Float](repeating: 0, count: $0) }
    }
  }

  private func schedule() throws -> NoiseSchedule {
    let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try NoiseSchedule(folder: repository.appending(path: "checkpoints/emoji-sd/scheduler").path)
  }

  // MARK: Captions

  private func captions(_ json: String) throws -> CaptionRecipe {
    try JSONDecoder().decode(CaptionRecipe.self, from: Data(json.utf8))
  }

  @Test func tagsAreShuffledBehindThoseThatStay() throws {
    let tags = try #require(PictureFixtures.json("captions.json")["tags"] as? [String: Any])
    let text = try #require(tags["text"] as? String)
    let parts = try #require(tags["split_strip"] as? [String])
    let recipe = try captions(#"{"shuffle": true, "keepTags": 2}"#)
    var seen: Set<String> = []
    for step in 0..<20 {
      var random = CounterGenerator(seed: 5, stream: 9, step: step)
      let drawn = recipe.drawn(text, &random)
      let found = drawn.split(separator: ", ", omittingEmptySubsequences: false).map(String.init)
      #expect(found.sorted() == parts.sorted() && Array(found.prefix(2)) == Array(parts.prefix(2)), "\(drawn)")
      seen.insert(drawn)
    }
    #expect(seen.count > 5)
  }

  @Test func tagsAreDropped() throws {
    let recipe = try captions(#"{"tagDropout": 0.5, "keepTags": 1}"#)
    var kept = 0
    for step in 0..<500 {
      var random = CounterGenerator(seed: 5, stream: 9, step: step)
      let found = recipe.drawn("a, b, c, d, e", &random).split(separator: ", ")
      #expect(found.first == "a")
      kept += found.count - 1
    }
    #expect(abs(Double(kept) / 2000 - 0.5) < 5 * (0.25 / 2000).squareRoot())
  }

  @Test func triggerWordsStandInFront() throws {
    let fixture = try #require(PictureFixtures.json("captions.json")["tags"] as? [String: Any])
    let expected = try #require(fixture["prefix_suffix"] as? [String: String])
    let recipe = try captions(
      #"{"prefix": "\#(expected["prefix"] ?? "")", "suffix": "\#(expected["suffix"] ?? "")"}"#)
    #expect(recipe.framed(expected["text"] ?? "") == expected["result"])
  }
}
