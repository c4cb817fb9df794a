/// A kernel's time beside that of the matrix products it stands for, run in turn so that both see the same machine.
struct PairedTime {
  /// The median of the kernel's.
  let seconds: Double
  /// The products' time over the kernel's, the median of all pairs.
  let timesProduct: Double

  init(runs: Int, kernel: () -> Void, product: () -> Void) {
    kernel()
    product()
    var (times, ratios): ([Double], [Double]) = ([], [])
    for _ in 0..<runs {
      let own = Self.seconds(kernel)
      times.append(own)
      ratios.append(Self.seconds(product) / own)
    }
    seconds = times.sorted()[runs / 2]
    timesProduct = ratios.sorted()[runs / 2]
  }

  private static func seconds(_ body: () -> Void) -> Double {
    let started = ContinuousClock.now
    body()
    return (ContinuousClock.now - started) / .seconds(1)
  }
}
