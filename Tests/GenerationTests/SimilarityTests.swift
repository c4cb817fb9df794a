import Foundation
import Generation
import Kernels
import Pictures
import Tensors
import Testing

/// Measures of likeness, against numbers worked out by hand.
@Suite struct SimilarityTests {
  private func flat(_ value: UInt8) -> Picture {
    Picture(width: 16, height: 16, bytes: [UInt8](repeating: value, count: 768))
  }

  @Test func peakSignalToNoise() {
    let reference = Tensor([4], [1, -2, 0, 0])
    let other = Tensor([4], [1, -2, 0.2, 0])
    // Peak 2, mean squared difference 0.01: 10 log10(4 / 0.01).
    #expect(abs(Similarity.psnr(other, reference: reference) - 26.0206) < 1e-3)
    #expect(abs(Similarity.applePSNR(other, reference: reference) - 26.0206) < 1e-3)
    #expect(Similarity.psnr(reference, reference: reference) == Decibels.noError)
    #expect(abs(Similarity.psnr(flat(100), reference: flat(110)) - 28.1308) < 1e-3)
  }

  @Test func structuralSimilarity() {
    #expect(abs(Similarity.structure(flat(90), flat(90)) - 1) < 1e-12)
    // Flat pictures differ in brightness alone: (2 a b + c) / (a² + b² + c).
    let (a, b) = (100.0 / 255, 200.0 / 255)
    let expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    #expect(abs(Similarity.structure(flat(100), flat(200)) - expected) < 1e-6)
    let noisy = Picture(
      width: 16, height: 16, bytes: (0..<256).flatMap { [UInt8](repeating: UInt8($0 * 97 % 256), count: 3) })
    #expect(Similarity.structure(noisy, flat(128)) < 0.1)
  }

  @Test func spread() {
    let spread = Spread([1, 2, 3, 4])
    #expect(spread.mean == 2.5 && spread.minimum == 1 && spread.maximum == 4 && spread.count == 4)
    #expect(abs(spread.deviation - 1.2909944) < 1e-6)
    #expect(Spread([7]).deviation == 0)
  }
}
