//! Formats rows of text as a table.

use crate::output::{Paint, visible};

/// The alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table with a header. The last column is not padded.
pub(crate) struct Table {
    header: Vec<(&'static str, Align)>,
    rows: Vec<(bool, Vec<String>)>,
}

impl Table {
    pub(crate) fn new(header: &[(&'static str, Align)]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, which may be marked as a problem.
    pub(crate) fn row(&mut self, marked: bool, cells: Vec<String>) {
        let cells = cells.iter().map(|cell| visible(cell)).collect();
        self.rows.push((marked, cells));
    }

    /// Returns the table with a line feed after each row.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let mut widths: Vec<usize> = self.header.iter().map(|it| it.0.chars().count()).collect();
        for (_, cells) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((at, cell), (_, align)) in cells.enumerate().zip(&self.header) {
                let gap = widths[at] - cell.chars().count();
                let is_last = at + 1 == self.header.len();
                if at > 0 {
                    line += "  ";
                }
                match align {
                    Align::Right => line += &format!("{}{cell}", " ".repeat(gap)),
                    Align::Left if is_last => line += cell,
                    Align::Left => line += &format!("{cell}{}", " ".repeat(gap)),
                }
            }
            line.trim_end().to_owned()
        };
        let header = line(&mut self.header.iter().map(|it| it.0));
        let mut text = format!("{}\n", paint.bold(&header));
        for (marked, cells) in &self.rows {
            let row = line(&mut cells.iter().map(String::as_str));
            let row = match marked {
                true => paint.red(&row),
                false => row,
            };
            text += &row;
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::When;

    #[test]
    fn columns_are_aligned_and_marked_rows_are_red() {
        let mut table = Table::new(&[
            ("PID", Align::Right),
            ("NAME", Align::Left),
            ("AT", Align::Left),
        ]);
        table.row(false, vec!["7".into(), "für".into(), "a\nb".into()]);
        table.row(true, vec!["4711".into(), "x".into(), String::new()]);
        assert_eq!(
            table.text(Paint::none()),
            " PID  NAME  AT\n   7  für   a\u{fffd}b\n4711  x\n"
        );
        let colours = table.text(Paint::new(When::Always));
        assert!(colours.contains("\x1b[1;31m4711  x\x1b[0m"), "{colours:?}");
    }
}
