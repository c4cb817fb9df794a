internal import CKernels
internal import Kernels

extension Picture {
  /// The picture at another size, with the bytes that Pillow or OpenCV gives, or part of that.
  ///
  /// Along rows first, then along columns; Pillow rounds to bytes between, OpenCV does not. Only the part is computed.
  ///
  /// - Parameter part: of the resized picture; all of it if nil.
  /// - Precondition: `area` only where neither side grows; a part inside of the resized picture.
  package func resized(
    width: Int, height: Int, _ filter: ResamplingFilter = .lanczos, part: PictureRegion? = nil
  ) -> Picture {
    let part = part ?? PictureRegion(left: 0, top: 0, width: width, height: height)
    precondition(
      part.left >= 0 && part.top >= 0 && part.left + part.width <= width && part.top + part.height <= height,
      "picture resized to \(width)×\(height): \(part) of it")
    if width == self.width && height == self.height { return cropped(part) }
    guard filter == .area else { return resampled(width: width, height: height, filter, part) }
    precondition(width <= self.width && height <= self.height, "picture: area resampling to a larger size")
    if self.width % width == 0 && self.height % height == 0 {
      return blocksAveraged(across: self.width / width, down: self.height / height).cropped(part)
    }
    return averaged(width: width, height: height, part)
  }

  /// The middle of the picture in another shape and size.
  package func fitted(width: Int, height: Int, _ filter: ResamplingFilter = .lanczos) -> Picture {
    let scale = min(Double(self.width) / Double(width), Double(self.height) / Double(height))
    let columns = min(self.width, max(1, Int((Double(width) * scale).rounded())))
    let rows = min(self.height, max(1, Int((Double(height) * scale).rounded())))
    let middle = PictureRegion(
      left: (self.width - columns) / 2, top: (self.height - rows) / 2, width: columns, height: rows)
    return cropped(middle).resized(width: width, height: height, filter)
  }

  /// Values from 0 to 1 at another size, in floats without rounding, as torchvision resamples tensors.
  ///
  /// - Returns: `[height, width, 3]`
  package func resampledValues(width: Int, height: Int, _ filter: ResamplingFilter) -> [Float] {
    let rows = filter.windows(0..<height, from: self.height, to: height)
    let columns = filter.windows(0..<width, from: self.width, to: width)
    var narrow = [Float](repeating: 0, count: self.height * width * 3)
    for y in 0..<self.height {
      for (x, window) in columns.enumerated() {
        for (offset, weight) in window.weights.enumerated() {
          for channel in 0..<3 {
            narrow[(y * width + x) * 3 + channel] +=
              Float(weight) * (Float(bytes[(y * self.width + window.first + offset) * 3 + channel]) / 255)
          }
        }
      }
    }
    return rows.flatMap { window in
      (0..<width * 3).map { x in
        window.weights.enumerated().reduce(Float(0)) {
          $0 + Float($1.1) * narrow[(window.first + $1.0) * width * 3 + x]
        }
      }
    }
  }

  private func blocksAveraged(across: Int, down: Int) -> Picture {
    let count = width / across * (height / down) * 3
    return Picture(
      width: width / across, height: height / down,
      bytes: [UInt8](unsafeUninitializedCapacity: count) { to, initialized in
        sd_average_blocks(bytes, height, width, across, down, to.baseAddress)
        initialized = count
      })
  }

  private func resampled(width: Int, height: Int, _ filter: ResamplingFilter, _ part: PictureRegion) -> Picture {
    let down = AxisWindows(filter.windows(part.rows, from: self.height, to: height))
    // Of the columns that are asked for, the rows that the second pass reads.
    let isAsWide = width == self.width
    let needed = height == self.height ? part.rows : down.reach
    let narrow =
      isAsWide
      ? cropped(PictureRegion(left: part.left, top: needed.lowerBound, width: part.width, height: needed.count)).bytes
      : [UInt8](unsafeUninitializedCapacity: needed.count * part.width * 3) { to, initialized in
        nonisolated(unsafe) let to = to.baseAddress!
        let across = AxisWindows(filter.windows(part.columns, from: self.width, to: width))
        inBlocksOfRows(needed) { rows, source, block in
          let at = (rows.lowerBound - needed.lowerBound) * part.width * 3
          across.withWindows {
            sd_resample_along_rows(source, rows.count, self.width, $0, part.width, to + at, block)
          }
        }
        initialized = needed.count * part.width * 3
      }
    guard height != self.height else { return Picture(width: part.width, height: part.height, bytes: narrow) }
    let whole = [UInt8](unsafeUninitializedCapacity: part.height * part.width * 3) { to, initialized in
      nonisolated(unsafe) let to = to.baseAddress!
      Parallel.ranges(part.height, grain: 32) { rows in
        down.withWindows { windows in
          for row in rows {
            sd_resample_row(narrow, part.width, windows, row, needed.lowerBound, to + row * part.width * 3)
          }
        }
      }
      initialized = part.height * part.width * 3
    }
    return Picture(width: part.width, height: part.height, bytes: whole)
  }

  private func averaged(width: Int, height: Int, _ part: PictureRegion) -> Picture {
    let across = AxisWindows(ResamplingFilter.area.windows(part.columns, from: self.width, to: width))
    let down = AxisWindows(ResamplingFilter.area.windows(part.rows, from: self.height, to: height))
    let needed = down.reach
    let narrow = Buffer(uninitialized: needed.count * part.width * 3)
    inBlocksOfRows(needed) { rows, source, block in
      let at = (rows.lowerBound - needed.lowerBound) * part.width * 3
      across.withWindows {
        sd_average_along_rows(source, rows.count, self.width, $0, part.width, narrow.pointer + at, block)
      }
    }
    let whole = [UInt8](unsafeUninitializedCapacity: part.height * part.width * 3) { to, initialized in
      nonisolated(unsafe) let to = to.baseAddress!
      Parallel.ranges(part.height, grain: 32) { rows in
        let sums = Buffer(uninitialized: part.width * 3)
        down.withWindows { windows in
          for row in rows {
            sd_average_row(
              narrow.pointer, part.width, windows, row, needed.lowerBound, to + row * part.width * 3, sums.pointer)
          }
        }
      }
      initialized = part.height * part.width * 3
    }
    return Picture(width: part.width, height: part.height, bytes: whole)
  }
}

extension Picture {
  /// Lends the rows to several threads, each with scratch for the passes along rows.
  ///
  /// - Parameter body: takes a range of rows, the first one's bytes, and the scratch.
  private func inBlocksOfRows(
    _ needed: Range<Int>,
    _ body: @Sendable (Range<Int>, UnsafePointer<UInt8>, UnsafeMutablePointer<UInt8>) -> Void
  ) {
    bytes.withUnsafeBufferPointer { source in
      nonisolated(unsafe) let source = source.baseAddress!
      let blockRows = SD_PICTURE_ROWS
      Parallel.ranges(needed.count, grain: 4 * blockRows, multiple: blockRows) { part in
        let rows = needed.lowerBound + part.lowerBound..<needed.lowerBound + part.upperBound
        var block = [UInt8](repeating: 0, count: width * 3 * blockRows)
        body(rows, source + rows.lowerBound * width * 3, &block)
      }
    }
  }
}
