internal import Foundation

/// A page that needs nothing else.
struct HTMLPage {
  let title: String
  /// Beside that of text and tables.
  var style = ""
  /// HTML.
  let body: String

  var html: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>\(Self.escaped(title))</title>
    <style>
    body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 72em; color: #222; padding: 0 1em }
    table { border-collapse: collapse; margin: 1em 0 }
    td, th { padding: .3em .8em; text-align: right; border-bottom: 1px solid #ddd }
    td:first-child, th:first-child { text-align: left }
    svg text { font-size: 12px }
    \(style)
    </style></head><body>
    <h1>\(Self.escaped(title))</h1>
    \(body)
    </body></html>
    """
  }

  /// Text as it is shown, in an element or in an attribute's quotes.
  static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: "\"", with: "&quot;")
  }
}
