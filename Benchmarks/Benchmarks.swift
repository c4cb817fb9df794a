internal import ArgumentParser

/// `sdtune-benchmark`: full-size models of random weights, and how fast and large everything is on them.
@main
struct Benchmarks: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sdtune-benchmark",
    abstract: "Measure sdtune on models of random weights and full-size shapes.",
    subcommands: [MakeModel.self, KernelRates.self, KMeansRates.self])
}
