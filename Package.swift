// swift-tools-version: 6.1
import PackageDescription

/// What every Swift target is built with; nothing here needs `unsafeFlags`.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

extension Target {
  static func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
  }

  static func tests(
    _ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil
  ) -> Target {
    .testTarget(
      name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
  }
}

let package = Package(
  name: "sdtune",
  products: [
    .executable(name: "sdtune", targets: ["sdtune"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
    .target(name: "CKernels"),
    .library("Kernels", ["COpenBLAS", "CKernels"]),
    .library("Tensors", ["Kernels"]),
    .library("Layers", ["Tensors"]),
    .library("Clustering", ["Kernels"]),
    .library("StableDiffusion", ["Layers"]),
    .library("Checkpoints", ["Tensors", "CHDF5"]),
    .library("Recipes"),
    .library(
      "Training", ["StableDiffusion", "Clustering", "Checkpoints", "Recipes"]),
    .target(
      name: "MIL",
      dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf"), "Kernels"],
      exclude: ["Protobuf/mil.proto"], swiftSettings: settings),
    .library("CoreMLExport", ["StableDiffusion", "Clustering", "MIL"]),
    .library("MILRuntime", ["MIL", "Kernels"]),
    .executableTarget(
      name: "sdtune",
      dependencies: [
        "Training", "CoreMLExport", "MILRuntime",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .tests("MILTests", ["MIL", "Kernels"]),
    .tests("MILRuntimeTests", ["MILRuntime", "MIL", "Kernels"], resources: [.copy("Packages")]),
  ]
)
