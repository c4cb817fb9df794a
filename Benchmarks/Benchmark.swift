package import ArgumentParser

/// `sdtune benchmark`: full-size models of random weights, and how fast and large everything is on them.
package struct Benchmark: ParsableCommand {
  package static let configuration = CommandConfiguration(
    abstract: "Measure sdtune on models of random weights and full-size shapes.",
    subcommands: [MakeModel.self, KernelRates.self, StepRates.self, KMeansRates.self, PackageRates.self])

  package init() {}
}
