//! Builds the page from the files in `page/`: one document that contains its style and script.
//!
//! The document contains no data of the program. Its script fetches `view.json` from the directory of the document, so
//! the service can be mounted at any path. A content security policy only has to allow the hashes of [`STYLE`] and
//! [`SCRIPT`], and connections to the origin of the document.

macro_rules! style {
    () => {
        include_str!("page/page.css")
    };
}

/// The files of the script. Each file has one job, and uses only files before it.
macro_rules! script {
    () => {
        concat!(
            include_str!("page/text.js"),
            include_str!("page/view.js"),
            include_str!("page/filter.js"),
            include_str!("page/tree.js"),
            include_str!("page/rows.js"),
            include_str!("page/list.js"),
            include_str!("page/memory.js"),
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

/// The content of the `style` element of the document.
pub(crate) const STYLE: &str = style!();

/// The content of the `script` element of the document.
pub(crate) const SCRIPT: &str = script!();

/// The whole document.
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
    fn the_page_has_one_script_and_one_style() {
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
        // Browsers replace carriage returns before they hash the content, so the hashes would differ.
        assert!(!PAGE.contains('\r'));
        assert!(!SCRIPT.contains("<!--"));
    }

    /// The script uses no function that a strict content security policy forbids, or that runs text as code or markup.
    #[test]
    fn no_text_is_run_as_code_or_markup() {
        for function in [
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
            assert!(!SCRIPT.contains(function), "{function}");
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
    fn the_page_loads_nothing_from_other_sites() {
        // The name of the SVG namespace is not fetched.
        let page = PAGE.replace("xmlns='http://www.w3.org/2000/svg'", "");
        for address in ["http://", "https://", "@import", "url("] {
            assert!(!page.contains(address), "{address}");
        }
    }
}
