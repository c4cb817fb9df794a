package import Recipes
internal import Synchronization
package import Tensors

/// Which samples a step learns from: a function of seed and step, the same on every rank.
package final class SampleOrder: Sendable {
  private let dataset: LatentDataset
  private let training: TrainingRecipe
  private let seed: UInt64
  /// The epoch that was asked for last.
  private let epoch = Mutex<(number: Int, batches: [Batch])>((-1, []))

  package struct Batch: Sendable {
    package let size: Int
    /// Numbers of samples of that size.
    package let samples: [Int]
  }

  package init(_ dataset: LatentDataset, _ training: TrainingRecipe, seed: UInt64) {
    self.dataset = dataset
    self.training = training
    self.seed = seed
  }

  /// - Parameter random: the step's, from which independent samples are drawn.
  package func batch(_ step: Int, _ random: inout CounterGenerator) -> Batch {
    switch training.order {
    case .independent: return independent(&random)
    case .epochs:
      let count = dataset.sizes.reduce(0) { $0 + ($1.drawn.count + training.batchSize - 1) / training.batchSize }
      return epoch.withLock { epoch in
        if epoch.number != step / count { epoch = (step / count, batches(ofEpoch: step / count)) }
        return epoch.batches[step % count]
      }
    }
  }

  /// The first sample from all, the others from those of its size: sizes come in proportion.
  private func independent(_ random: inout CounterGenerator) -> Batch {
    var number = random.integer(below: dataset.drawnCount)
    var size = 0
    while number >= dataset.sizes[size].drawn.count {
      number -= dataset.sizes[size].drawn.count
      size += 1
    }
    let drawn = dataset.sizes[size].drawn
    var samples = [Int(drawn[number])]
    for _ in 1..<max(1, training.batchSize) { samples.append(Int(drawn[random.integer(below: drawn.count)])) }
    return Batch(size: size, samples: samples)
  }

  /// Every sample as often as it counts; the last batch of a size is filled up from the size's first.
  private func batches(ofEpoch number: Int) -> [Batch] {
    var random = CounterGenerator(seed: seed, .order, step: number)
    var batches: [Batch] = []
    for (index, size) in dataset.sizes.enumerated() {
      var drawn = size.drawn
      for place in stride(from: drawn.count - 1, to: 0, by: -1) {
        drawn.swapAt(place, random.integer(below: place + 1))
      }
      for start in stride(from: 0, to: drawn.count, by: training.batchSize) {
        let samples = (start..<start + training.batchSize).map { Int(drawn[$0 % drawn.count]) }
        batches.append(Batch(size: index, samples: samples))
      }
    }
    for place in stride(from: batches.count - 1, to: 0, by: -1) {
      batches.swapAt(place, random.integer(below: place + 1))
    }
    return batches
  }
}
