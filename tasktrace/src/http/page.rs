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
