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
    .executable(name: "sdtune", targets: ["sdtune"]),
    // Tests alone use it.
    .library(name: "Faults", type: .dynamic, targets: ["Faults"]),
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
    // Every target lists all that it imports: SwiftPM builds it again when one of these changes, and only then.
    .target(
      name: "CPictures", dependencies: ["CJPEG", "CPNG", "CWebP", "CExif"],
      linkerSettings: ["jpeg", "png", "webp", "webpdemux", "exif"].map { .linkedLibrary($0) }),
    .target(
      name: "PictureSets",
      dependencies: ["Archives", "Files", "Pictures", "StrictJSON", .product(name: "SwiftCSV", package: "SwiftCSV")],
      swiftSettings: settings),
    .library("Pictures", ["CPictures", "CLittleCMS", "CKernels", "Kernels", "Tensors", "Files"]),
    .target(name: "CKernels"),
    .library("Distribution", hasMPI ? ["CMPI", "Kernels"] : ["Kernels"]),
    .library("Kernels", ["COpenBLAS", "CKernels"]),
    .library("Tensors", ["Kernels"]),
    .library("Layers", ["Kernels", "Tensors"]),
    .library("Clustering", ["Kernels"]),
    .library(
      "StableDiffusion", ["CTokenizer", "Kernels", "Tensors", "Layers", "Files", "WeightFiles", "StrictJSON"]),
    .library("Models", ["StableDiffusion", "WeightFiles", "Files", "StrictJSON", "Kernels", "Tensors"]),
    .target(name: "CTokenizer", exclude: ["clip_merges.txt"]),
    .library("StrictJSON"),
    .systemLibrary(name: "CFiles"),
    .library("Files", ["CFiles", "Kernels", "StrictJSON"]),
    .library("WeightFiles", ["Files", "Kernels", "StrictJSON"]),
    .library("Digests", ["CCrypto"]),
    .library("Archives", ["CArchive", "Files"]),
    .library("Checkpoints", ["Files", "Kernels", "CHDF5"]),
    .library("Recipes", ["StrictJSON"]),
    .library(
      "Training",
      [
        "Kernels", "Tensors", "Layers", "StableDiffusion", "Models", "Clustering", "Checkpoints", "Files",
        "WeightFiles",
        "Recipes", "Distribution", "Digests", "Pictures", "PictureSets", "StrictJSON",
      ]),
    .target(
      name: "MIL",
      dependencies: [
        .product(name: "SwiftProtobuf", package: "swift-protobuf"), "Kernels", "Files", "StrictJSON", "Digests",
      ],
      exclude: ["Protobuf/mil.proto"], swiftSettings: settings),
    .library(
      "CoreMLExport", ["Kernels", "Tensors", "Layers", "StableDiffusion", "Clustering", "MIL", "WeightFiles"]),
    .library("MILRuntime", ["MIL", "Kernels"]),
    .library(
      "Generation",
      ["Kernels", "Tensors", "Layers", "Pictures", "StableDiffusion", "Models", "MILRuntime", "Files", "StrictJSON"]),
    .library(
      "Jobs",
      [
        "Kernels", "Tensors", "Layers", "Clustering", "Checkpoints", "Recipes", "StrictJSON", "StableDiffusion", "MIL",
        "Training", "CoreMLExport", "MILRuntime", "Generation", "Pictures", "PictureSets", "Digests", "Distribution",
        "Files", "WeightFiles", "Models", "Archives",
      ]),
    .executableTarget(
      name: "sdtune",
      dependencies: [
        "Jobs", "Recipes", "Training", "Generation", "Models", "StableDiffusion", "CoreMLExport", "MIL", "Tensors",
        "Pictures", "Benchmarks", "Archives", "Files",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .target(
      name: "Benchmarks",
      dependencies: [
        "Checkpoints", "Clustering", "Kernels", "Layers", "MILRuntime", "Pictures", "StableDiffusion", "Tensors",
        "Training", "WeightFiles",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks",
      exclude: ["adapters.py", "full_size.py", "growth.py", "large_set.py", "learning.py", "pictures.py", "peers"],
      swiftSettings: settings),
    .target(
      name: "TestSupport", dependencies: ["WeightFiles", "Kernels"], path: "Tests/_TestSupport",
      swiftSettings: settings),
    .target(name: "Faults", path: "Tests/_Faults"),
    .target(
      name: "PackageFuzzing", dependencies: ["MIL", "MILRuntime", "Kernels"],
      path: "Tests/_PackageFuzzing", swiftSettings: settings),
    .target(
      name: "ReaderFuzzing",
      dependencies: ["PackageFuzzing", "Archives", "Jobs", "PictureSets", "Pictures", "StableDiffusion"],
      path: "Tests/_ReaderFuzzing", swiftSettings: settings),
    .tests("KernelsTests", ["Kernels", "CKernels"]),
    .tests("TensorsTests", ["Tensors", "Kernels"]),
    .tests(
      "JobsTests",
      [
        "sdtune", "Jobs", "Archives", "Generation", "Models", "StableDiffusion", "StrictJSON", "WeightFiles", "Recipes",
        "Layers",
        "Tensors", "Clustering", "Pictures", "Training", "CoreMLExport", "MILRuntime", "MIL", "Checkpoints",
        "Distribution", "Kernels", "TestSupport", "ReaderFuzzing",
      ]),
    .tests("DistributionTests", ["Distribution", "Kernels"]),
    .tests(
      "ParityTests",
      [
        "TestSupport", "Training", "Generation", "Pictures", "Files", "WeightFiles", "Models", "StableDiffusion",
        "StrictJSON", "Kernels", "Tensors", "Layers",
      ],
      exclude: [
        "make_lcm_references.py", "make_controlnet_references.py", "make_safety_references.py",
        "make_refiner_references.py", "make_inpainting_references.py", "make_schedule_references.py",
      ]),
    .tests("GenerationTests", ["TestSupport", "Generation", "Pictures", "StableDiffusion", "Tensors", "Kernels"]),
    .tests("DigestsTests", ["Digests"]),
    .tests("ArchivesTests", ["Archives", "TestSupport"]),
    .tests(
      "ModelsTests",
      [
        "TestSupport", "Models", "StableDiffusion", "StrictJSON", "WeightFiles", "Files", "Digests", "Kernels",
        "Layers", "Tensors",
      ],
      exclude: ["ModelFiles", "Variants", "make_unet_variants.py"]),
    .tests("PictureSetsTests", ["TestSupport", "PictureSets"], exclude: ["Archives"]),
    .tests("PicturesTests", ["TestSupport", "Pictures", "WeightFiles", "Kernels", "Tensors"], exclude: ["Fixtures"]),
    .tests(
      "TrainingTests",
      [
        "TestSupport", "Training", "Pictures", "Recipes", "StableDiffusion", "WeightFiles", "Checkpoints", "Clustering",
        "Kernels",
        "Tensors",
      ]),
    .tests("ClusteringTests", ["Clustering", "WeightFiles", "Kernels"]),
    .tests("CheckpointsTests", ["TestSupport", "Checkpoints", "Files", "Kernels"], resources: [.copy("Fixtures")]),
    .tests("WeightFilesTests", ["TestSupport", "WeightFiles", "Files", "Kernels"], resources: [.copy("Fixtures")]),
    .tests("RecipesTests", ["Recipes"]),
    .tests("MILTests", ["TestSupport", "MIL", "Kernels"], resources: [.copy("CompiledModels")]),
    .tests(
      "MILRuntimeTests", ["TestSupport", "MILRuntime", "MIL", "Kernels", "PackageFuzzing"],
      exclude: ["Support/make_operation_references.py", "Support/make_rare_operation_references.py"],
      resources: [.copy("Packages"), .copy("FuzzCorpus")]),
  ]
)

// libFuzzer brings its own parts to link with, so that only `make fuzz` builds this.
if Context.environment["SDTUNE_FUZZER"] == "1" {
  package.targets.append(
    .executableTarget(
      name: "reader-fuzzer", dependencies: ["PackageFuzzing", "ReaderFuzzing"], path: "Fuzzing/reader-fuzzer",
      swiftSettings: settings))
}

if hasMPI {
  package.targets.append(
    .systemLibrary(
      name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]))
}
