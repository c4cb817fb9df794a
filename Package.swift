// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target is built with; nothing here needs `unsafeFlags`.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Open MPI is optional: with it (`make build MPI=1`), `mpirun -n N sdtune --recipe …` shares out every batch.
let hasMPI = Context.environment["SDTUNE_MPI"] == "1"

extension Target {
  static func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
  }

  static func tests(
    _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource]? = nil
  ) -> Target {
    .testTarget(
      name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: settings)
  }
}

let package = Package(
  name: "sdtune",
  products: [
    .executable(name: "sdtune", targets: ["sdtune"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/swiftcsv/SwiftCSV", from: "0.10.0"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebpdemux", providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(name: "CLittleCMS", pkgConfig: "lcms2", providers: [.apt(["liblcms2-dev"])]),
    .systemLibrary(name: "CExif", pkgConfig: "libexif", providers: [.apt(["libexif-dev"])]),
    .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(
      name: "CPictures", dependencies: ["CJPEG", "CPNG", "CWebP", "CExif"],
      linkerSettings: ["jpeg", "png", "webp", "webpdemux", "exif"].map { .linkedLibrary($0) }),
    .target(
      name: "PictureSets",
      dependencies: ["CArchive", "Pictures", "StrictJSON", .product(name: "SwiftCSV", package: "SwiftCSV")],
      swiftSettings: settings),
    .library("Pictures", ["CPictures", "CLittleCMS", "CKernels", "Kernels", "Tensors"]),
    .target(name: "CKernels"),
    .library("Distribution", hasMPI ? ["CMPI", "Kernels"] : ["Kernels"]),
    .library("Kernels", ["COpenBLAS", "CKernels"]),
    .library("Tensors", ["Kernels"]),
    .library("Layers", ["Tensors"]),
    .library("Clustering", ["Kernels"]),
    .library("StableDiffusion", ["Layers", "Checkpoints", "StrictJSON"]),
    .library("StrictJSON"),
    .library("Digests", ["CCrypto"]),
    .library("Checkpoints", ["Kernels", "StrictJSON", "CHDF5"]),
    .library("Recipes", ["StrictJSON"]),
    .library(
      "Training",
      [
        "StableDiffusion", "Clustering", "Checkpoints", "Recipes", "Distribution", "Digests", "Pictures", "PictureSets",
      ]),
    .target(
      name: "MIL",
      dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf"), "Kernels"],
      exclude: ["Protobuf/mil.proto"], swiftSettings: settings),
    .library("CoreMLExport", ["StableDiffusion", "Clustering", "MIL"]),
    .library("MILRuntime", ["MIL", "Kernels"]),
    .library("Generation", ["Pictures", "StableDiffusion", "MILRuntime"]),
    .library(
      "Jobs",
      [
        "Training", "CoreMLExport", "MILRuntime", "Generation", "Pictures", "PictureSets", "Digests", "Distribution",
      ]),
    .executableTarget(
      name: "sdtune",
      dependencies: [
        // All that it imports, so that it is built again when one of them changes.
        "Jobs", "Recipes", "Training", "Generation", "Pictures", "Benchmarks",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .target(
      name: "Benchmarks",
      dependencies: [
        "Checkpoints", "Clustering", "Kernels", "Layers", "MILRuntime", "Pictures", "StableDiffusion", "Tensors",
        "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks",
      exclude: ["full_size.py", "growth.py", "large_set.py", "learning.py", "pictures.py", "peers"],
      swiftSettings: settings),
    .target(
      name: "TestSupport", dependencies: ["Checkpoints", "Kernels"], path: "Tests/_TestSupport",
      swiftSettings: settings),
    .target(
      name: "PackageFuzzing", dependencies: ["MIL", "MILRuntime", "Kernels"],
      path: "Tests/_PackageFuzzing", swiftSettings: settings),
    .tests("KernelsTests", ["Kernels", "CKernels"]),
    .tests("TensorsTests", ["Tensors", "Kernels"]),
    .tests(
      "JobsTests",
      [
        "sdtune", "Jobs", "Generation", "Pictures", "Training", "CoreMLExport", "MILRuntime", "MIL", "Checkpoints",
        "Distribution", "Kernels", "TestSupport",
      ]),
    .tests("DistributionTests", ["Distribution", "Kernels"]),
    .tests(
      "ParityTests", ["TestSupport", "Training", "Generation", "Pictures"],
      exclude: [
        "make_lcm_references.py", "make_controlnet_references.py", "make_safety_references.py",
        "make_refiner_references.py", "make_inpainting_references.py",
      ]),
    .tests("GenerationTests", ["TestSupport", "Generation", "Pictures", "Kernels"]),
    .tests("DigestsTests", ["Digests"]),
    .tests("PictureSetsTests", ["TestSupport", "PictureSets"], exclude: ["Archives"]),
    .tests("PicturesTests", ["TestSupport", "Pictures", "Checkpoints", "Kernels", "Tensors"], exclude: ["Fixtures"]),
    .tests(
      "TrainingTests",
      [
        "TestSupport", "Training", "Pictures", "Recipes", "StableDiffusion", "Checkpoints", "Clustering", "Kernels",
        "Tensors",
      ]),
    .tests("ClusteringTests", ["Clustering", "Checkpoints", "Kernels"]),
    .tests("CheckpointsTests", ["TestSupport", "Checkpoints", "Kernels"], resources: [.copy("Fixtures")]),
    .tests("RecipesTests", ["Recipes"]),
    .tests("MILTests", ["TestSupport", "MIL", "Kernels"]),
    .tests(
      "MILRuntimeTests", ["TestSupport", "MILRuntime", "MIL", "Kernels", "PackageFuzzing"],
      exclude: ["Support/make_operation_references.py"],
      resources: [.copy("Packages"), .copy("FuzzCorpus")]),
  ]
)

// libFuzzer brings its own parts to link with, so that only `make fuzz` builds this.
if Context.environment["SDTUNE_FUZZER"] == "1" {
  package.targets.append(
    .executableTarget(
      name: "package-fuzzer", dependencies: ["PackageFuzzing"], path: "Fuzzing/package-fuzzer",
      swiftSettings: settings))
}

if hasMPI {
  package.targets.append(
    .systemLibrary(
      name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]))
}
