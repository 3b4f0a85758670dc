//! Tables for people: aligned columns without colours, so that they can be read, pasted and cut.

use std::fmt;

use homing_wire::printable;

/// Space between columns.
const GAP: &str = "  ";

/// A table in the making. Cells may have anything in them; what a terminal would take for more than text is escaped.
pub(in crate::cli) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    name: String,
    to_right: bool,
}

impl Table {
    /// Columns by name; those with a `#` in front have numbers, which are aligned to the right.
    pub(in crate::cli) fn new(columns: &[&str]) -> Self {
        let column = |name: &&str| match name.strip_prefix('#') {
            Some(name) => Column { name: name.to_owned(), to_right: true },
            None => Column { name: (*name).to_owned(), to_right: false },
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a column with text, behind the others.
    pub(in crate::cli) fn column(&mut self, name: String) {
        self.columns.push(Column { name: printable(name.as_bytes()), to_right: false });
    }

    /// Adds a row with a cell for each column. An empty one is shown as `-`, so that columns can be counted.
    pub(in crate::cli) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cell = |cell: String| if cell.is_empty() { "-".to_owned() } else { printable(cell.as_bytes()) };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// True without rows.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |(n, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(column.name.chars().count())
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let cell = |((column, width), cell): ((&Column, &usize), &str)| {
            if column.to_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        let cells: Vec<_> = self.columns.iter().zip(widths).zip(cells).map(cell).collect();
        cells.join(GAP).trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        writeln!(f, "{}", self.line(&widths, self.columns.iter().map(|column| column.name.as_str())))?;
        for row in &self.rows {
            writeln!(f, "{}", self.line(&widths, row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["host", "#users", "tag"]);
        table.row(["10.0.0.11", "5", ""].map(str::to_owned));
        table.row(["b\u{e9}", "12345678", "blue"].map(str::to_owned));
        let lines = ["host          users  tag", "10.0.0.11         5  -", "b\u{e9}         12345678  blue"];
        assert_eq!(table.to_string(), lines.join("\n") + "\n");
        assert_eq!(Table::new(&["a", "#b"]).to_string(), "a  b\n", "a header even without rows");
    }

    #[test]
    fn cells_cannot_play_tricks_with_a_terminal() {
        let mut table = Table::new(&["user"]);
        table.row(["a\x1b[2J\nb".to_owned()]);
        let text = table.to_string();
        assert!(!text.contains('\x1b') && text.lines().count() == 2, "{text:?}");
    }
}
