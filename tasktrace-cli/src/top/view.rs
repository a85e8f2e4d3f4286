//! Draws the screen from the state.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::keys::HELP;
use super::state::{List, Row, TopState};
use crate::args::Sort;
use crate::document::{Group, View};
use crate::output::{title, visible};
use crate::ps::state_text;
use crate::time::{human, human_ms};

/// The smallest and the largest width of the column of names.
const NAME_WIDTHS: (usize, usize) = (12, 44);

/// The number of rows whose names determine that width.
const MEASURED_ROWS: usize = 1000;

/// The age above which a document is marked as old. It includes the time to fetch a document.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// The text styles. Without colours, they are only bold and reversed text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    pub(crate) colours: bool,
}

impl Theme {
    fn wrong(self) -> Style {
        match self.colours {
            true => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    fn quiet(self) -> Style {
        match self.colours {
            true => Style::new().fg(Color::DarkGray),
            false => Style::new(),
        }
    }

    fn state(self, state: &str) -> Style {
        match (self.colours, state) {
            (true, "running") => Style::new().fg(Color::Green),
            (true, "woken" | "never_polled") => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        }
    }
}

/// Returns the number of rows of a list that fit on a screen of this height.
pub(crate) fn page(height: u16) -> usize {
    usize::from(height.saturating_sub(4)).max(1)
}

pub(crate) fn draw(frame: &mut Frame<'_>, state: &TopState, theme: Theme, now: Instant) {
    let rows = [
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(1),
    ];
    let [top, middle, bottom] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Text::from(header(state, theme, now)), top);
    match (&state.view, &state.open) {
        (_, Some(_)) => draw_task(frame, state, theme, middle),
        (Some(_), None) => draw_list(frame, state, theme, middle),
        (None, None) => {
            let text = match &state.failure {
                Some(_) => "nothing has been received",
                None => "waiting for an answer…",
            };
            frame.render_widget(Line::styled(text, theme.quiet()), middle);
        }
    }
    frame.render_widget(footer(state, theme), bottom);
    if state.is_helping {
        draw_help(frame, theme);
    }
}

fn header(state: &TopState, theme: Theme, now: Instant) -> Vec<Line<'static>> {
    let mut first = vec![Span::styled(
        "tasktrace",
        Style::new().add_modifier(Modifier::BOLD),
    )];
    if let Some(view) = &state.view {
        first.push(Span::raw(format!(
            "  {} ({})  {}",
            visible(&view.process.name),
            view.process.pid,
            counts(view)
        )));
    }
    let age = now.saturating_duration_since(state.received);
    let mut second = Vec::new();
    if state.is_paused {
        let text = format!("PAUSED {} ago  ", human(whole(age)));
        second.push(Span::styled(text, theme.wrong()));
    }
    match &state.failure {
        Some(failure) => {
            let what = match &state.view {
                Some(_) => format!("{} old: {failure}", human(whole(age))),
                None => failure.clone(),
            };
            second.push(Span::styled(what, theme.wrong()));
        }
        None if !state.is_paused
            && state.view.is_some()
            && age > STALE_AFTER.max(state.interval * 2) =>
        {
            let text = format!("{} old: no answer yet  ", human(whole(age)));
            second.push(Span::styled(text, theme.wrong()));
        }
        None => {}
    }
    if state.failure.is_none() {
        let asked = match (&state.view, state.snapshot) {
            (Some(view), _) if view.is_from_memory => {
                format!("read from memory in {}", human_ms(view.took_ms))
            }
            (_, true) => "live frames only".to_owned(),
            (Some(view), false) if view.asked == 1 => match view.took_ms {
                0 => "asked in less than 1ms".to_owned(),
                took => format!("asked in {}", human_ms(took)),
            },
            (_, false) => "asking".to_owned(),
        };
        let every = human(state.interval);
        let text = format!("{asked}, every {every}, by {}", by(state.sort));
        second.push(Span::styled(text, theme.quiet()));
    }
    if state.is_filtering {
        second.push(Span::raw(format!("  filter: {}▏", state.filter)));
    } else if !state.filter.is_empty() {
        second.push(Span::styled(
            format!("  filter: {}", state.filter),
            theme.wrong(),
        ));
    }
    vec![Line::from(first), Line::from(second)]
}

/// Returns a duration in whole seconds, because fractions would change all the time.
fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

fn by(sort: Sort) -> &'static str {
    match sort {
        Sort::Urgency => "urgency",
        Sort::Waited => "time waited",
        Sort::Tasks => "number of tasks",
        Sort::Name => "name",
        Sort::State => "state",
    }
}

/// Returns the numbers of tasks, such as `7 tasks: 6 suspended, 1 running; 2 not traced`.
fn counts(view: &View) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for group in &view.groups {
        match states.iter_mut().find(|(state, _)| *state == group.state) {
            Some((_, count)) => *count += group.tasks.len,
            None => states.push((&group.state, group.tasks.len)),
        }
    }
    states.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let states: Vec<_> = states
        .iter()
        .map(|(state, count)| format!("{count} {}", state_text(state)))
        .collect();
    let tasks = match view.total {
        1 => "1 task".to_owned(),
        tasks => format!("{tasks} tasks"),
    };
    let untraced = match view.untraced {
        None | Some(0) => String::new(),
        Some(more) => format!("; {more} not traced"),
    };
    match states.is_empty() {
        true => format!("no traced tasks{untraced}"),
        false => format!("{tasks}: {}{untraced}", states.join(", ")),
    }
}

fn draw_list(frame: &mut Frame<'_>, state: &TopState, theme: Theme, area: Rect) {
    let width = usize::from(area.width);
    let height = usize::from(area.height).saturating_sub(1);
    let name_width = name_width(state, width);
    let number = match state.list {
        List::Groups => "TASKS",
        _ => "ID",
    };
    let for_how_long = match state.list {
        List::Groups => "LONGEST",
        _ => "FOR",
    };
    let mut lines = Vec::with_capacity(height + 1);
    let header = format!(
        "{:2}{:>7}  {:<13}{:>7}  {:<name_width$}  WAITS FOR",
        "", number, "STATE", for_how_long, "TASK"
    );
    let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    lines.push(Line::styled(fitted(&header, width), bold));
    // The list scrolls so that the selected row is in the middle, if possible.
    let first = state.selected.saturating_sub(height / 2);
    let first = first.min(state.rows.len().saturating_sub(height));
    for (at, row) in state.rows.iter().enumerate().skip(first).take(height) {
        let line = row_line(state, *row, name_width, theme);
        let line = match at == state.selected {
            true => {
                let mut text: String = line.spans.iter().map(|span| &*span.content).collect();
                let gap = width.saturating_sub(text.chars().count());
                text.extend(std::iter::repeat_n(' ', gap));
                Line::styled(text, Style::new().add_modifier(Modifier::REVERSED))
            }
            false => line,
        };
        lines.push(line);
    }
    if state.rows.is_empty() {
        let text = match state.filter.is_empty() {
            true => "  no tasks",
            false => "  no task matches the filter: Esc clears it",
        };
        lines.push(Line::styled(text, theme.quiet()));
    }
    frame.render_widget(Text::from(lines), area);
}

/// Returns the width of the column of names: that of the longest name, within limits.
fn name_width(state: &TopState, width: usize) -> usize {
    // The rows on the screen alone would make the width change with each key.
    let rows = state.rows.iter().take(MEASURED_ROWS);
    let lengths = rows.map(|row| name(state, *row).chars().count());
    let longest = lengths.fold(NAME_WIDTHS.0, usize::max);
    longest
        .min(NAME_WIDTHS.1)
        .min((width / 3).max(NAME_WIDTHS.0))
}

/// Returns the name of a group or of a task.
fn name(state: &TopState, row: Row) -> String {
    let Some(group) = state.group(row) else {
        return String::new();
    };
    let label = row
        .member
        .and_then(|at| group.tasks.label.get(at)?.as_deref());
    let name = match (label, &state.list) {
        // All members of a group have the same name.
        (Some(label), List::Members(_)) => format!("\"{label}\""),
        (label, _) => title(&group.name, label),
    };
    visible(&name)
}

fn row_line(state: &TopState, row: Row, name_width: usize, theme: Theme) -> Line<'static> {
    let Some(group) = state.group(row) else {
        return Line::default();
    };
    let tasks = &group.tasks;
    let (number, waited) = match row.member {
        None => (Some(tasks.len as u64), group.longest_ms()),
        Some(at) => (
            tasks.id.get(at).copied(),
            tasks.waited_ms.get(at).copied().flatten(),
        ),
    };
    let complaint = group.complaint().map(visible);
    let mark = if complaint.is_some() { "! " } else { "  " };
    // The time is already in a column of its own.
    let complaint = complaint.filter(|_| group.urgency != "long");
    let name = name(state, row);
    let name = match name.chars().count() > name_width {
        // The end of a path is more useful than its beginning.
        true if row.member.is_none() => shortened_front(&name, name_width),
        _ => fitted(&name, name_width),
    };
    let waits_for = visible(&waits_for(group));
    let complaint = match complaint {
        Some(complaint) if has_only_place(&waits_for) => format!("{complaint} "),
        Some(complaint) => format!("{complaint}: "),
        None => String::new(),
    };
    Line::from(vec![
        Span::styled(mark, theme.wrong()),
        Span::raw(format!("{:>7}  ", number.unwrap_or(0))),
        Span::styled(
            format!("{:<13}", state_text(&group.state)),
            theme.state(&group.state),
        ),
        Span::raw(format!(
            "{:>7}  ",
            waited.map_or_else(|| "-".to_owned(), human_ms)
        )),
        Span::raw(format!("{name:<name_width$}  ")),
        Span::styled(complaint, theme.wrong()),
        Span::raw(waits_for),
    ])
}

/// Returns `true` if a description of a wait begins with its place, because nothing in it has a name.
fn has_only_place(waits_for: &str) -> bool {
    ["at ", "(fn at ", "(made at "]
        .iter()
        .any(|place| waits_for.starts_with(place))
}

/// Returns the operation that is waited for, and the place. The function is left out if it is the task itself.
fn waits_for(group: &Group) -> String {
    let leaf = group.leaf();
    let function = match leaf.function == group.name
        && (!leaf.operation.is_empty() || !leaf.place.is_empty())
    {
        true => "",
        false => leaf.function,
    };
    let mut text = match (leaf.operation, function) {
        ("", function) => function.to_owned(),
        (operation, "") => operation.to_owned(),
        (operation, function) => format!("{operation} in {function}"),
    };
    if !leaf.place.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        text += &leaf.place;
    }
    if leaf.more > 0 {
        text += &format!(" and {} more", leaf.more);
    }
    text
}

fn fitted(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text
            .chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => text.to_owned(),
    }
}

fn shortened_front(text: &str, width: usize) -> String {
    let skipped = text.chars().count() + 1 - width;
    ['…']
        .into_iter()
        .chain(text.chars().skip(skipped))
        .collect()
}

fn draw_task(frame: &mut Frame<'_>, state: &TopState, theme: Theme, area: Rect) {
    let Some(open) = &state.open else {
        return;
    };
    let Some(lines) = &open.lines else {
        let text = format!("waiting for task {}…", open.task);
        frame.render_widget(Line::styled(text, theme.quiet()), area);
        return;
    };
    let height = usize::from(area.height);
    // The list does not scroll beyond its last line.
    let first = open.scroll.min(lines.len().saturating_sub(height));
    let shown = lines.iter().skip(first).take(height).map(|line| {
        let style = match line {
            line if line.starts_with('!') => theme.wrong(),
            line if line.starts_with("task ") => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        };
        Line::styled(line.clone(), style)
    });
    let shown: Vec<_> = shown.collect();
    frame.render_widget(Text::from(shown), area);
}

fn footer(state: &TopState, theme: Theme) -> Line<'static> {
    let text = if state.is_filtering {
        "Enter keeps the filter  Esc drops it"
    } else if state.open.is_some() {
        "↑↓ scroll  Esc back  p pause  c ask/snapshot  ? help  q quit"
    } else {
        "↑↓ move  Enter open  Esc back  Tab groups/tasks  / filter  s sort  p pause  ? help  q quit"
    };
    let mut line = Line::styled(text, theme.quiet());
    if state.open.is_none() && state.rows.len() > 1 {
        let at = format!("  {}/{}", state.selected + 1, state.rows.len());
        line.push_span(Span::styled(at, theme.quiet()));
    }
    line
}

fn draw_help(frame: &mut Frame<'_>, theme: Theme) {
    let area = frame.area();
    let width = 74.min(area.width);
    let height = u16::try_from(HELP.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    let lines = HELP.iter().map(|(keys, what)| {
        Line::from(vec![
            Span::styled(
                format!(" {keys:<16} "),
                Style::new().add_modifier(Modifier::BOLD),
            ),
            Span::raw(*what),
        ])
    });
    let block = Block::bordered()
        .title(" Keys ")
        .border_style(theme.quiet());
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines.collect::<Vec<_>>()).block(block),
        place,
    );
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyCode;

    use super::super::keys::press;
    use super::super::state::tests::state;
    use super::*;

    const PLAIN: Theme = Theme { colours: false };

    /// Returns the lines of the screen.
    fn screen(state: &TopState, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is memory");
        let drawn = terminal.draw(|frame| draw(frame, state, PLAIN, state.received));
        drawn.expect("it is memory");
        let buffer = terminal.backend().buffer();
        let line = |y| {
            let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    #[test]
    fn groups_are_drawn_as_rows() {
        assert_eq!(
            screen(&state(), 120, 8),
            [
                "tasktrace  shop (4711)  4 tasks: 4 suspended; 1 not traced",
                "asked in 3ms, every 1.0s, by urgency",
                "    TASKS  STATE        LONGEST  TASK             WAITS FOR",
                "!       1  suspended       4.0s  shop::reconnect  registered no waker in this poll (fn at src/db.rs:7)",
                "        3  suspended       2.0s  shop::order      tokio::sync::Mutex::lock at src/main.rs:42 and 1 more",
                "",
                "",
                "↑↓ move  Enter open  Esc back  Tab groups/tasks  / filter  s sort  p pause  ? help  q quit  1/2",
            ]
        );
    }

    #[test]
    fn texts_of_the_process_cannot_reorder_the_screen() {
        let mut state = state();
        let view = state.view.as_mut().expect("there is one");
        view.groups[0].state = "a\u{202e}b".to_owned();
        view.groups[0].complaint = Some("c\u{202e}d".to_owned());
        let screen = screen(&state, 120, 8);
        assert!(screen[0].contains("1 a\u{fffd}b"), "{screen:#?}");
        assert!(screen[3].contains("a\u{fffd}b"), "{screen:#?}");
        assert!(screen[3].contains("c\u{fffd}d"), "{screen:#?}");
        assert!(!screen.concat().contains('\u{202e}'), "{screen:#?}");
    }

    #[test]
    fn single_tasks_are_drawn_as_rows() {
        let mut state = state();
        state.show(List::Tasks);
        let screen = screen(&state, 120, 9);
        assert!(
            screen[2].contains(" ID  STATE            FOR  TASK"),
            "{screen:#?}"
        );
        assert!(
            screen[4].starts_with("        2  suspended       2.0s  shop::order \"bob\" "),
            "{screen:#?}"
        );
        state.show(List::Members("a".to_owned()));
        let screen = self::screen(&state, 120, 9);
        assert!(screen[3].contains(" 2.0s  \"bob\" "), "{screen:#?}");
    }

    #[test]
    fn an_open_task_is_drawn_and_scrolls() {
        let mut state = state();
        press(&mut state, KeyCode::Enter.into(), 5);
        assert_eq!(screen(&state, 80, 6)[2], "waiting for task 9…");
        let text: Vec<_> = (0..10).map(|line| format!("line {line}")).collect();
        state.receive_task(9, Ok(text.join("\n")));
        assert_eq!(screen(&state, 80, 6)[2..5], ["line 0", "line 1", "line 2"]);
        press(&mut state, KeyCode::Down.into(), 5);
        assert_eq!(screen(&state, 80, 6)[2], "line 1");
        press(&mut state, KeyCode::End.into(), 5);
        assert_eq!(screen(&state, 80, 6)[2..5], ["line 7", "line 8", "line 9"]);
    }

    #[test]
    fn the_selected_row_is_on_the_screen() {
        let mut state = state();
        let group = state.view.as_ref().expect("there is one").groups[1].clone();
        let view = state.view.as_mut().expect("there is one");
        view.groups = (0..100)
            .map(|at| {
                let mut group = group.clone();
                group.id = at.to_string();
                group.name = format!("g{at}");
                group
            })
            .collect();
        state.refresh();
        for at in [0, 1, 50, 98, 99] {
            state.select(at);
            let screen = screen(&state, 80, 10);
            let name = format!("g{at} ");
            assert!(
                screen.iter().any(|line| line.contains(&name)),
                "{at}: {screen:#?}"
            );
            assert!(screen[8].contains(" g"), "the screen is full: {screen:#?}");
        }
    }

    #[test]
    fn failures_are_shown_above_the_last_document() {
        let mut state = state();
        state.receive(
            Err("process 4711 closed the connection".to_owned()),
            state.received,
        );
        assert_eq!(
            screen(&state, 80, 8)[1],
            "0ns old: process 4711 closed the connection"
        );
        // The last document stays visible.
        assert!(screen(&state, 80, 8)[3].contains("shop::reconnect"));
        state.is_paused = true;
        assert!(screen(&state, 80, 8)[1].starts_with("PAUSED"));
    }

    #[test]
    fn a_filter_without_matches_says_so() {
        let mut state = state();
        for key in "/zz".chars() {
            press(&mut state, KeyCode::Char(key).into(), 5);
        }
        let screen = screen(&state, 80, 8);
        assert!(screen[1].ends_with("filter: zz▏"), "{screen:#?}");
        assert_eq!(screen[3], "  no task matches the filter: Esc clears it");
        assert_eq!(screen[7], "Enter keeps the filter  Esc drops it");
    }

    #[test]
    fn help_is_over_the_rest() {
        let mut state = state();
        state.is_helping = true;
        let screen = screen(&state, 80, 24);
        assert!(
            screen.iter().any(|line| line.contains("filter by name")),
            "{screen:#?}"
        );
    }

    /// The screen is drawn at any size of the terminal.
    #[test]
    fn the_screen_is_drawn_at_any_size() {
        let mut state = state();
        for is_helping in [false, true] {
            state.is_helping = is_helping;
            for (width, height) in [(1, 1), (2, 3), (10, 2), (20, 5), (300, 100)] {
                assert_eq!(screen(&state, width, height).len(), usize::from(height));
            }
        }
        assert_eq!(page(0), 1);
    }
}
