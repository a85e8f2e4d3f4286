//! The page: one document, with all that it needs in it, made of the files in `page/`.
//!
//! The document says nothing of the program that serves it. It asks for `view.json` beside itself,
//! whatever path it is mounted at, and shows that. So a browser that is told the hashes of [`STYLE`]
//! and [`SCRIPT`] in a content security policy need allow nothing else but connections to where the
//! document is from.

macro_rules! style {
    () => {
        include_str!("page/page.css")
    };
}

/// Each file has one job, and uses only what is before it.
macro_rules! script {
    () => {
        concat!(
            include_str!("page/text.js"),
            include_str!("page/view.js"),
            include_str!("page/filter.js"),
            include_str!("page/tree.js"),
            include_str!("page/rows.js"),
            include_str!("page/list.js"),
            include_str!("page/detail.js"),
            include_str!("page/flame.js"),
            include_str!("page/awaits.js"),
            include_str!("page/feed.js"),
            include_str!("page/settings.js"),
            include_str!("page/keys.js"),
            include_str!("page/app.js"),
        )
    };
}

/// What is in the document's `style` element.
pub(crate) const STYLE: &str = style!();

/// What is in the document's `script` element.
pub(crate) const SCRIPT: &str = script!();

/// The document.
pub(crate) const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    style!(),
    "</style>\n",
    include_str!("page/body.html"),
    "<script>",
    script!(),
    "</script>\n",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_script_and_one_style() {
        for element in ["script", "style"] {
            let (start, end) = (format!("<{element}>"), format!("</{element}>"));
            assert_eq!(PAGE.matches(&start).count(), 1, "{start}");
            assert_eq!(PAGE.matches(&end).count(), 1, "{end}");
        }
        let between = |start: &str, end: &str| {
            let from = PAGE.find(start).map(|at| at + start.len());
            let to = PAGE.find(end);
            from.zip(to).map(|(from, to)| &PAGE[from..to])
        };
        assert_eq!(between("<script>", "</script>"), Some(SCRIPT));
        assert_eq!(between("<style>", "</style>"), Some(STYLE));
        // Browsers hash what they have read, in which these are line feeds.
        assert!(!PAGE.contains('\r'));
        assert!(!SCRIPT.contains("<!--"));
    }

    /// What a policy without exceptions forbids, and what text could be run by.
    #[test]
    fn text_is_never_read_as_anything_else() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "srcdoc",
            "eval(",
            "new Function",
            "import(",
        ] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        let markup = concat!(
            include_str!("page/head.html"),
            include_str!("page/body.html")
        );
        assert!(!markup.contains(" style="));
        let mut words = markup.split(" on").skip(1);
        let is_handler = |word: &str| {
            let name = word.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
            name.starts_with('=')
        };
        assert_eq!(words.find(|word| is_handler(word)), None);
    }

    #[test]
    fn nothing_is_from_elsewhere() {
        // The name of a vocabulary is no address.
        let page = PAGE.replace("xmlns='http://www.w3.org/2000/svg'", "");
        for address in ["http://", "https://", "@import", "url("] {
            assert!(!page.contains(address), "{address}");
        }
    }
}
