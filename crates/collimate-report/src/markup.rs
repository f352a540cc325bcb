//! Writing HTML and SVG so that it is always well-formed and nothing in it is taken for markup.
//!
//! Tags and names of attributes are constants of this crate, and so is what is written as it is;
//! everything else passes through [`visible`] and is escaped.

use crate::text::visible;

/// Attributes of an element.
pub(crate) type Attributes<'a> = &'a [(&'static str, &'a str)];

/// A document that is being written.
#[derive(Default)]
pub(crate) struct Markup {
    written: String,
}

impl Markup {
    pub(crate) fn finish(self) -> String {
        self.written
    }

    /// Text that is a constant of this crate, as it is.
    pub(crate) fn constant(&mut self, text: &'static str) {
        self.written.push_str(text);
    }

    /// An element around what `content` writes.
    pub(crate) fn element(
        &mut self,
        tag: &'static str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Self),
    ) {
        self.open(tag, attributes);
        self.written.push('>');
        content(self);
        self.written.push_str("</");
        self.written.push_str(tag);
        self.written.push('>');
        if is_block(tag) {
            self.written.push('\n');
        }
    }

    /// An element around text.
    pub(crate) fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.element(tag, attributes, |m| m.text(text));
    }

    /// An element that can have no content.
    pub(crate) fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.open(tag, attributes);
        self.written.push_str("/>");
    }

    /// Text from anywhere.
    pub(crate) fn text(&mut self, text: &str) {
        for c in visible(text).chars() {
            match c {
                '&' => self.written.push_str("&amp;"),
                '<' => self.written.push_str("&lt;"),
                '>' => self.written.push_str("&gt;"),
                '"' => self.written.push_str("&quot;"),
                '\'' => self.written.push_str("&#39;"),
                c => self.written.push(c),
            }
        }
    }

    fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.written.push('<');
        self.written.push_str(tag);
        for (name, value) in attributes {
            self.written.push(' ');
            self.written.push_str(name);
            self.written.push_str("=\"");
            self.text(value);
            self.written.push('"');
        }
    }
}

/// Elements after which a line ends, so that a page can be compared line by line.
fn is_block(tag: &str) -> bool {
    matches!(
        tag,
        "article"
            | "caption"
            | "details"
            | "div"
            | "figcaption"
            | "figure"
            | "footer"
            | "h1"
            | "h2"
            | "h3"
            | "head"
            | "header"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "p"
            | "section"
            | "style"
            | "summary"
            | "svg"
            | "table"
            | "tbody"
            | "thead"
            | "title"
            | "tr"
            | "ul"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut markup = Markup::default();
        markup.element("p", &[("title", "\"><script>'")], |m| {
            m.text("<b>&amp;</b>\u{202E}");
            m.empty("br", &[]);
        });
        assert_eq!(
            markup.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;&#39;\">&lt;b&gt;&amp;amp;&lt;/b&gt;‹U+202E›<br/></p>\n"
        );
    }
}
