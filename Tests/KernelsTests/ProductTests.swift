import CKernels
import Kernels
import Testing

/// The register-blocked product against a sum in double precision, in the code for every processor level here.
@Suite struct ProductTests {
  private struct Case: CustomStringConvertible {
    let m, n, k: Int
    let isTransposed, isInPanels, adds: Bool
    var isPacked = false
    var description: String { "\(m)×\(k) by \(k)×\(n)" }
  }

  private static let levels = Set([0, 3, 4].map { min($0, Int(sd_processor_level())) }).sorted()

  @Test(arguments: levels)
  func equalsTheSum(level: Int) {
    let cases = [
      Case(m: 1, n: 16, k: 1, isTransposed: false, isInPanels: true, adds: false),
      Case(m: 19, n: 80, k: 37, isTransposed: true, isInPanels: false, adds: true),
      Case(m: 13, n: 160, k: 1100, isTransposed: false, isInPanels: true, adds: true),
      Case(m: 40, n: 112, k: 70, isTransposed: false, isInPanels: true, adds: false),
      Case(m: 24, n: 64, k: 2050, isTransposed: true, isInPanels: true, adds: false),
      Case(m: 30, n: 80, k: 45, isTransposed: false, isInPanels: false, adds: false),
      Case(m: 69, n: 48, k: 1059, isTransposed: false, isInPanels: true, adds: false, isPacked: true),
    ]
    for one in cases {
      let (m, n, k) = (one.m, one.n, one.k)
      let a = numbers(m * k, seed: 1).elements
      let b = numbers(k * n, seed: 2).elements
      let start = numbers(m * n, seed: 3).elements
      let bias = numbers(m, seed: 4).elements
      var panels = b
      if one.isInPanels { sd_pack_panels(b, n, k, n, 0, k, &panels) }
      var c = start
      panels.withUnsafeBufferPointer { panels in
        guard let first = panels.baseAddress else { return }
        // What is fetched ahead changes nothing, wherever it lies.
        let next = one.isInPanels && !one.isTransposed ? sd_operands(a: first, b: first) : sd_operands()
        let operand =
          one.isInPanels ? sd_panels(first: first, row: 16, panel: 16 * k) : sd_panels(first: first, row: n, panel: 16)
        if one.isPacked {
          var packed = [Float](repeating: .nan, count: (m + 23) / 24 * 24 * k)
          sd_gather_panels(a, m, k, k, 1, 24, 1, &packed)
          return sd_packed_product_on(Int32(level), m, n, k, packed, operand, &c, n, bias)
        }
        let (row, depth) = one.isTransposed ? (1, m) : (k, 1)
        sd_product_on(
          Int32(level), m, n, k, a, row, depth, operand, &c, n, one.adds ? 1 : 0, one.adds ? nil : bias, next)
      }
      var worst: Double = 0
      for i in 0..<m {
        for j in 0..<n {
          var sum: Double = Double(one.adds ? start[i * n + j] : bias[i])
          for p in 0..<k {
            let element = one.isTransposed ? a[p * m + i] : a[i * k + p]
            sum += Double(element) * Double(b[p * n + j])
          }
          worst = max(worst, abs(sum - Double(c[i * n + j])))
        }
      }
      // A rounding of 6e-8 of a partial sum for each term; one wrong term would be off by some 0.3.
      #expect(worst < 1e-7 * Double(k) + 1e-6, "level \(level), \(one): \(worst)")
    }
  }
}
