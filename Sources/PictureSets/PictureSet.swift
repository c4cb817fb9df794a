internal import Foundation

/// A set of pictures as people have it, with captions: a folder, tar shards or a zip.
///
/// Its layout is found out: Hugging Face's imagefolder (`metadata.jsonl` or `.csv`), kohya's folders `10_name` of
/// repeats, or captions in `.txt` and `.caption` files beside the pictures, as webdataset's shards have them, too.
/// `train` and `validation` folders are splits. Nothing is decoded here.
package struct PictureSet: Sendable {
  package enum Layout: String, Sendable, Codable {
    case captions = "captions beside the pictures"
    case metadata = "imagefolder"
    case repeats = "kohya's folders of repeats"
  }

  /// What is asked of captions.
  package struct Options: Sendable, Equatable {
    /// Whether every line of a caption file describes the picture, or the first alone.
    package var allLines = false
    /// Whether the file's name stands for a caption that is missing.
    package var fileNames = false
    /// The column of metadata that holds the captions; nil for `text`, else `caption`, else `prompt`.
    package var column: String?

    package init() {}
  }

  package let path: String
  package let layout: Layout
  /// Sorted by their files' names; those of several metadata rows follow each other.
  package let samples: [PictureSample]
  /// What looks like a picture and is none that may be read, by the listing alone.
  package let unusable: [UnusablePicture]
  /// What a person should know of how the set was understood, a line each.
  package let warnings: [String]
  /// Files that are no pictures, captions or metadata.
  package let otherFiles: Int
  private let store: any PictureStore

  /// - Throws: ``PictureSetError``
  package init(_ path: String, _ options: Options = Options()) throws(PictureSetError) {
    self.path = path
    let store = try Self.store(path)
    self.store = store
    let listing = try PictureListing(store, options)
    layout = listing.layout
    samples = listing.samples
    unusable = store.refused + listing.unusable
    warnings = listing.warnings
    otherFiles = listing.otherFiles
    guard !samples.isEmpty || !unusable.isEmpty else {
      throw .noPictures(path: path, looked: "there are \(store.files.count) other files in it")
    }
  }

  /// Whether a path is something that this type reads, as opposed to latents or prompts.
  package static func isSet(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return false }
    return isFolder.boolValue || archiveEndings.contains(RelativePath.stemAndExtension(path).ending)
  }

  private static let archiveEndings: Set<String> = ["tar", "zip"]

  private static func store(_ path: String) throws(PictureSetError) -> any PictureStore {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw .unreadable(path: path, reason: "no such file or folder")
    }
    guard isFolder.boolValue else {
      guard archiveEndings.contains(RelativePath.stemAndExtension(path).ending) else {
        throw .notASet(path: path, found: "a file of another kind")
      }
      return try ArchiveStore([(path, "")])
    }
    let folder = try FolderStore(path)
    let shards = folder.files.filter { archiveEndings.contains(RelativePath.stemAndExtension($0).ending) }
    guard !shards.isEmpty, !folder.files.contains(where: RelativePath.isPicture) else { return folder }
    return try ArchiveStore(shards.map { ("\(path)/\($0)", $0 + "/") })
  }

  /// Reads the files of samples one after the other, in the order in which that is cheap.
  ///
  /// - Parameter body: takes a file and its bytes, or why it cannot be read; returns false to stop.
  package func read(
    _ files: Set<String>, _ body: (String, Result<[UInt8], UnusablePicture>) throws -> Bool
  ) throws { try store.read(files, body) }
}
