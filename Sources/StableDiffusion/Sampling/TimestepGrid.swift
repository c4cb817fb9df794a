/// How the timesteps of a run are spread over those of training.
package enum TimestepSpacing: String, Sendable, CaseIterable {
  /// From the first to the last, both included.
  case linspace
  /// Every so many, from the first on.
  case leading
  /// Every so many, from the last on.
  case trailing

  /// Timesteps of `steps` calls, the noisiest first; table 2 of Lin et al. 2024.
  ///
  /// - Parameters:
  ///   - total: timesteps of training
  ///   - offset: added where the spacing starts at the first timestep
  ///   - isExact: whether `linspace` may fall between timesteps
  ///   - trained: timesteps of training, where the noisiest of them are left out of `total`
  ///   - extra: calls that are counted in the spacing but left out, 1 for DPM-Solver
  func timesteps(
    _ steps: Int, of total: Int, offset: Int, extra: Int = 0, isExact: Bool = false, trained: Int? = nil
  ) -> [Double] {
    let count = steps + extra
    switch self {
    case .linspace:
      let values = (0..<count).map { index in
        let value = Double(total - 1) * Double(index) / Double(max(1, count - 1))
        return isExact ? Double(Float(value)) : rounded(value)
      }
      return Array(values.reversed().prefix(steps))
    case .leading:
      let ratio = total / count
      let values = (0..<count).map { Double(min($0 * ratio + offset, total - 1)) }
      return Array(values.reversed().prefix(steps))
    case .trailing:
      // As `numpy.arange` counts down: by the difference of its first two numbers, which rounding makes another than the
      // step.
      let last = Double(total)
      let distance = (last - Double(trained ?? total) / Double(steps)) - last
      return (0..<steps).map { rounded(last + Double($0) * distance) - 1 }
    }
  }
}
