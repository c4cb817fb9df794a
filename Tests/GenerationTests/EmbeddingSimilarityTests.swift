import Generation
import Testing

/// How alike sets of pictures are to CLIP, against numpy's values of the published formulas.
@Suite struct EmbeddingSimilarityTests {
  private let pictures: [[Float]] = [[3, 4, 0], [1, 2, 2], [0, 0, 5]]
  private let references: [[Float]] = [[4, 3, 0], [2, 1, 2], [0, 1, 5]]

  @Test func cosineAndDiscrepancy() {
    let found = EmbeddingSimilarity(pictures, references: references)
    #expect(abs(found.cosine.mean - 0.943156521526603) < 1e-12 && abs(found.cosine.minimum - 8.0 / 9) < 1e-12)
    #expect(abs(found.maximumMeanDiscrepancy - 0.4428811202430438) < 1e-9)
  }

  /// Lengths tell nothing, and an order only which picture is whose.
  @Test func equalSets() {
    let found = EmbeddingSimilarity([pictures[1], pictures[0]], references: [pictures[0].map { 2 * $0 }, pictures[1]])
    #expect(abs(found.maximumMeanDiscrepancy) < 1e-9 && found.cosine.mean < 0.9)
  }
}
