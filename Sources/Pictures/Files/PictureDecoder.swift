internal import CKernels
internal import CPictures

/// Reads JPEG, PNG and WebP files as people have them: the first frame, turned upright by EXIF, in sRGB, over a
/// background where it is transparent.
///
/// libjpeg-turbo, libpng and libwebp decode and Little CMS converts embedded profiles. Chunks gAMA and cHRM of PNG files
/// are left alone, as all trainers do.
package struct PictureDecoder: Sendable {
  /// Red, green and blue behind what is transparent.
  package var background: [UInt8]
  /// Pictures that declare more pixels are refused before anything is decoded.
  package var mostPixels: Int

  /// - Precondition: a background of three bytes.
  package init(background: [UInt8] = [255, 255, 255], mostPixels: Int = 178_956_970) {
    precondition(background.count == 3, "picture: a background of \(background.count) channels")
    self.background = background
    self.mostPixels = mostPixels
  }

  package struct Decoded: Sendable {
    package let picture: Picture
    /// What was passed over, such as a broken colour profile.
    package let warnings: [String]
  }

  package func callAsFunction(_ bytes: [UInt8]) throws(PictureError) -> Decoded {
    let file = try OpenPicture.open(bytes, mostPixels: mostPixels)
    let samples = try file.samples()
    let (colours, warning) = ColourProfile.converted(samples, file)
    let flat = flattened(colours, file)
    return Decoded(
      picture: Picture(width: file.width, height: file.height, bytes: flat).turned(file.orientation),
      warnings: [file.warning.map { "\($0); its colours are taken as sRGB" }, warning].compactMap { $0 })
  }

  /// Width and height of the picture when it is upright, from the file's header.
  ///
  /// An orientation that stands behind the pixels is not seen.
  package func size(_ bytes: [UInt8]) throws(PictureError) -> (width: Int, height: Int) {
    let file = try OpenPicture.open(bytes, mostPixels: mostPixels)
    return file.orientation < 5 ? (file.width, file.height) : (file.height, file.width)
  }

  /// RGB over the background.
  private func flattened(_ samples: PictureSamples, _ file: borrowing OpenPicture) -> [UInt8] {
    let count = file.width * file.height
    switch samples.channels {
    case 3: return samples.bytes
    case 1:
      return [UInt8](unsafeUninitializedCapacity: count * 3) { colours, initialized in
        for (pixel, grey) in samples.bytes.enumerated() {
          for channel in 0..<3 { colours[3 * pixel + channel] = grey }
        }
        initialized = count * 3
      }
    default:
      return [UInt8](unsafeUninitializedCapacity: count * 3) { flat, initialized in
        if let to = flat.baseAddress {
          sd_flatten_pixels(samples.bytes, count, samples.channels - 1, background, to)
        }
        initialized = count * 3
      }
    }
  }
}

/// What a file decodes to before colours are converted: 8 bits a sample, or 16 in the machine's byte order.
struct PictureSamples {
  let bytes: [UInt8]
  /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha or CMYK.
  let channels: Int
  let bits: Int
  let isCMYK: Bool
}

/// A picture file in memory whose header has been read.
struct OpenPicture: ~Copyable {
  let format: PictureFormat
  private let picture: UnsafeMutablePointer<sd_picture>
  /// What the C libraries read from.
  private let bytes: UnsafeMutableBufferPointer<UInt8>

  var width: Int { picture.pointee.width }
  var height: Int { picture.pointee.height }
  /// EXIF's, 1 to 8; complete when the samples have been read.
  var orientation: UInt32 { picture.pointee.orientation }
  /// The embedded ICC profile; nil if there is none.
  var profile: [UInt8]? {
    picture.pointee.profile.map { Array(UnsafeBufferPointer(start: $0, count: picture.pointee.profile_size)) }
  }

  private init(
    _ format: PictureFormat, _ picture: UnsafeMutablePointer<sd_picture>, _ bytes: UnsafeMutableBufferPointer<UInt8>
  ) {
    self.format = format
    self.picture = picture
    self.bytes = bytes
  }

  /// - Throws: if the header is broken or declares more pixels than are decoded.
  static func open(_ file: [UInt8], mostPixels: Int) throws(PictureError) -> OpenPicture {
    let format = try PictureFormat(of: file)
    let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: file.count)
    _ = bytes.initialize(from: file)
    let picture =
      switch format {
      case .jpeg: sd_open_jpeg(bytes.baseAddress, bytes.count)
      case .png: sd_open_png(bytes.baseAddress, bytes.count)
      case .webp: sd_open_webp(bytes.baseAddress, bytes.count)
      }
    guard let picture else {
      bytes.deallocate()
      throw .damaged(format: format, reason: "out of memory")
    }
    let opened = OpenPicture(format, picture, bytes)
    try opened.check(mostPixels: mostPixels)
    return opened
  }

  private func check(mostPixels: Int) throws(PictureError) {
    guard picture.pointee.reason.0 == 0 else { throw failure() }
    let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, pixels <= mostPixels else { throw .tooLarge(width: width, height: height, most: mostPixels) }
    guard pixels > 0 else { throw .damaged(format: format, reason: "no pixels") }
  }

  deinit {
    sd_close_picture(picture)
    bytes.deallocate()
  }

  /// All pixels; once only.
  func samples() throws(PictureError) -> PictureSamples {
    let (channels, bits) = (Int(picture.pointee.channels), Int(picture.pointee.bits))
    let count = width * height * channels * bits / 8
    var isRead = false
    let samples = [UInt8](unsafeUninitializedCapacity: count) { pixels, initialized in
      isRead = sd_read_pixels(picture, pixels.baseAddress)
      initialized = isRead ? count : 0
    }
    guard isRead else { throw failure() }
    return PictureSamples(bytes: samples, channels: channels, bits: bits, isCMYK: picture.pointee.is_cmyk)
  }

  /// What the library passed over of the colour profile; nil if nothing.
  var warning: String? {
    let text = withUnsafeBytes(of: picture.pointee.warning) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return text.isEmpty ? nil : text
  }

  private func failure() -> PictureError {
    let reason = withUnsafeBytes(of: picture.pointee.reason) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return .damaged(format: format, reason: reason.isEmpty ? "out of memory" : reason)
  }
}
